// regroup eval: how well models predict a text, all of them on the same tokens, and what separates each from
// the source, with errors that the text can bear.
//
// Models are loaded and scored one after the other. Every token's negative log-likelihood under every model
// is kept, so that differences are paired: what is hard in the text is hard for both and cancels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "eval/result.h"

namespace regroup::eval {

struct Options {
  std::filesystem::path source;               // the reference
  std::vector<std::filesystem::path> models;  // compared with it; may be empty
  std::vector<std::filesystem::path> data;  // text or token shards (data/formats.h); may be empty with tasks
  std::string data_format = "auto";
  bool document_start = true;              // false: --no-bos
  std::string convention = "consecutive";  // which tokens are scored (convention.h)
  std::int64_t window = 0;  // inputs at a time; 0: what the source can take, at most kLargestDefaultWindow
  std::int64_t max_tokens = 0;  // scored, from the beginning; 0: all
  std::int64_t batch = 0;       // windows at a time; 0: about kTokensAtATime tokens
  std::string dtype = "fp32";   // of the arithmetic
  std::string device = "cpu";
  // Bytes to take at most; 0: what is available (memory.h). A larger model is run a layer at a time; hidden
  // states beyond a share of it lie on disk, beside --json or in TMPDIR.
  std::uint64_t memory = 0;

  std::vector<std::string> tasks;   // NAME=FILE or NAME (task.h)
  std::filesystem::path task_data;  // where NAME.jsonl are
  std::int64_t max_examples = 0;    // of each task, from the beginning; 0: all

  std::optional<double> max_ppl_ratio, max_kl, min_same_top;  // gates (gate.h); need a model to compare
  std::optional<double> max_baseline_ratio;                   // a gate too; needs a baseline
  std::optional<double> max_task_drop;                        // and tasks
  double confidence = 0.95;                                   // of the gates and of all intervals
  std::int64_t bootstrap = 0;                                 // replicates; 0: none
  std::uint64_t seed = 0;                                     // of their draws
  std::filesystem::path baseline;  // an earlier run's JSON to compare with; empty: none

  // Outputs; empty: not written.
  std::filesystem::path report, json, markdown, junit, per_token, per_example, lm_eval_json;
  bool overwrite = false;
  Json resolved = Json::object();  // every option as resolved, for the provenance
};

inline constexpr std::int64_t kLargestDefaultWindow = 2048;
inline constexpr std::int64_t kTokensAtATime = 4096;

// Scores, compares, and writes the outputs; Result::not_written has those that could not be. UserError before
// any weight is read for: outputs that exist, models of another vocabulary or tokenizer than the source's, a
// window beyond a model's positions, data that cannot be read, a model of which no layer fits into memory.
Result evaluate(const Options& options);

// What a person sees on the terminal: the table, the findings, and how they were measured.
std::string terminal_text(const Result& result);

// UserError naming the outputs that could not be written: for when the rest was shown.
void require_written(const Result& result);

// 0 within budget or no gate, 1 beyond it, 4 cannot tell.
int exit_code(const Result& result);

}  // namespace regroup::eval
