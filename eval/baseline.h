// An earlier run to compare with: its --json file, and its --per-token file if that is still there.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/base/statistics.h"
#include "eval/clusters.h"
#include "eval/result.h"
#include "eval/score.h"

namespace regroup::eval {

class Baseline {
 public:
  // UserError unless it is what `regroup eval --json` writes, format version 2 or later.
  explicit Baseline(const std::filesystem::path& path);

  // UserError naming everything that differs and must not: of a text, how it became tokens, which of them are
  // scored and in which windows; the examples of tasks that both have; the source. `source` has its hashes.
  void require_comparable(const Result& measurement, const ModelFacts& source) const;

  // UserError listing the names there are unless it has a model of this one.
  void require_model(std::string_view name, std::string_view flag) const;

  // Nats per token more than this model had then; empty if it was not there. Paired where every token's nats
  // are still there; else from the two differences to the source, whose errors are taken as independent.
  struct Change {
    Estimate estimate;
    bool paired = false;
    std::string weights_sha256;  // then; empty: not known
  };
  std::optional<Change> change_of(std::string_view name, const Scores& scores, const Figure& difference,
                                  const Clusters& clusters) const;

  // What this model got right of a task by the accuracy that gates look at; empty if either was not there.
  // `right` is empty where the --per-example file is gone.
  struct TaskThen {
    Figure share;
    std::vector<bool> right;
  };
  std::optional<TaskThen> task(std::string_view model_name, std::string_view task_name) const;

  BaselineFacts facts() const;

 private:
  void require_figures() const;  // a Json::exception for what lacks
  const Json* model(std::string_view name) const;
  // Where a file that the earlier run wrote may be: under the name it was given, or beside its report.
  std::vector<std::filesystem::path> written(const char* option) const;
  std::vector<double> nats_of(std::string_view name, std::size_t tokens) const;
  std::vector<bool> right_answers(std::string_view model_name, std::string_view task_name) const;

  std::filesystem::path path_;
  Json json_;
};

// "earlier.json of 2026-01-31": which run it was.
std::string named(const BaselineFacts& baseline);

// "MODEL since earlier.json: perplexity 0.4% higher (…), paired."; empty without a baseline.
std::string baseline_sentence(const ModelResult& model, const Result& result);

}  // namespace regroup::eval
