// What an evaluation found, as numbers: filled once (compare.h), printed by every report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/base/statistics.h"

namespace regroup::eval {

// A number with its standard error and its two-sided interval at Result::confidence; both absent where the
// text has fewer than two clusters, the error alone where they do not differ (figure.h).
struct Figure {
  double value = 0;
  std::optional<double> error = {};
  std::optional<Interval> interval = {};
};

struct Quantile {
  double probability = 0, value = 0;
};

enum class Verdict { kPass, kCannotTell, kFail };  // from best to worst

struct Gate {
  double budget = 1;
  double confidence = 0.95;
  std::size_t kind = 0;   // a row of gate_kinds()
  std::string task = {};  // which one it is on, where its kind is of tasks
};

struct GateDecision {
  Verdict verdict = Verdict::kCannotTell;
  std::optional<Interval> bounds = {};  // one-sided confidence bounds of the gate's figure
  // kCannotTell: with so many more tokens (examples, for a task) it would be decided.
  std::optional<std::int64_t> more_tokens = {};
};

// A share of a task's examples that a model got right, and what separates it from the source's.
struct TaskAccuracy {
  std::string key = {};                   // "acc", "acc_norm": lm-eval's
  Figure share = {};                      // 0 to 1
  std::optional<Figure> difference = {};  // to the source, paired; absent for the source
  std::int64_t worse = 0, better = 0;     // examples that only the source, only this model got right
  double mcnemar_p = 1;                   // of the two being equally good, given these (task_compare.h)
};

// How the accuracy that gates look at has changed since an earlier run.
struct TaskChange {
  Figure share = {};    // of the examples: now less then
  bool paired = false;  // example by example
};

struct TaskFigures {
  std::vector<TaskAccuracy> accuracies = {};    // the one that gates look at first
  std::optional<Figure> perplexity = {};        // of the right continuation, where there is but one
  std::optional<Figure> perplexity_ratio = {};  // to the source's
  std::optional<TaskChange> since = {};         // empty without a baseline that has model and task
};

struct TaskFacts {
  std::string name, summary;
  std::int64_t examples = 0;
};

// What is known of a model without running it.
struct ModelFacts {
  std::string name;  // short, unique among the models
  std::filesystem::path path;
  std::string family, dtype;
  std::int64_t parameters = 0, layers = 0, heads = 0, kv_heads = 0, kv_bytes_per_token = 0, vocabulary = 0;
  std::uint64_t weight_bytes = 0;
  std::string config_sha256;
  std::string
      weights_sha256;  // of the weight files in the order of their names; empty when too large to hash
};

// A figure's bootstrap interval (bootstrap.h).
struct ResampledFigure {
  std::string key;  // "difference", "perplexity_ratio", or a row of statistics()
  Interval interval;
};

// An earlier run that this one is compared with (baseline.h).
struct BaselineFacts {
  std::filesystem::path path;
  std::string sha256, date, commit;
};

// A model against itself in the baseline.
struct SinceBaseline {
  Figure change = {}, ratio = {};  // nats per token; of perplexities
  bool paired = false;             // token by token
};

// A model against the source on a part of the scored tokens (breakdown.h).
struct PartResult {
  std::string label;
  std::int64_t tokens = 0;
  double cost = 0;  // nats lost on them all
  Figure difference = {};
  std::optional<Figure> kl = {}, same_top = {};
};

struct PassageToken {
  std::string text;
  double nats = 0, source_nats = 0;
};

// A place at which much is lost (passages.h).
struct Passage {
  std::int64_t position = 0;  // of its first token, in the stream
  std::int64_t document = 0;  // counted from 1
  double lost = 0;            // nats against the source, over its tokens
  std::string before = {}, after = {};
  std::vector<PassageToken> tokens = {};
  std::size_t worst = 0;                            // the token that costs most
  std::string expected = {}, source_expected = {};  // in its place, the first choices; empty: not known
};

struct ModelResult {
  ModelFacts facts;
  double load_seconds = 0, score_seconds = 0;
  Figure nats = {}, perplexity = {};  // per token
  // Of the whole text, where its bytes and words are known; word and byte perplexities as lm-eval's.
  std::optional<Figure> bits_per_byte = {}, word_perplexity = {}, byte_perplexity = {};
  std::optional<Figure> difference =
      {};                               // to the source, nats per token, errors paired; absent for the source
  std::optional<Figure> ratio = {};     // of perplexities: exp(difference)
  std::vector<double> along = {};       // nats per token, or the difference to the source, in each segment
  std::vector<Figure> statistics = {};  // rows of statistics(); empty for the source
  std::vector<Quantile> kl_quantiles = {};          // with them
  std::vector<ResampledFigure> resampled = {};      // empty without a bootstrap
  std::optional<SinceBaseline> since = {};          // empty without a baseline that has it
  std::vector<TaskFigures> tasks = {};              // on Result::tasks
  std::vector<GateDecision> gates = {};             // of Result::gates, in their order
  std::vector<std::vector<PartResult>> parts = {};  // rows of breakdowns(); empty for the source
  std::vector<Passage> passages = {};               // the worst first
};

struct DataFile {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct Result {
  std::vector<ModelResult> models;  // the source first

  std::vector<DataFile> files;
  // No data but tasks: nothing of what follows, no figures of tokens.
  std::int64_t stream_tokens = 0, scored_tokens = 0, documents = 0, text_bytes = 0, text_words = 0;
  bool first_scored = false;        // the stream's first token is among the scored ones
  std::string document_convention;  // how text became tokens
  std::string tokenizer_sha256;     // empty when none was needed

  std::string convention, convention_summary;
  std::int64_t window = 0, windows = 0, batch = 0;
  std::string cluster_unit;     // "document" or "block"
  std::string cluster_summary;  // a sentence
  std::int64_t clusters = 0;
  double confidence = 0.95;
  std::int64_t replicates = 0;  // of the bootstrap; 0: none
  std::uint64_t seed = 0;       // of its draws
  std::optional<BaselineFacts> baseline;
  std::vector<std::int64_t> segment_ends;  // in scored tokens; what ModelResult::along is over

  std::vector<TaskFacts> tasks;
  std::vector<DataFile> task_files;  // theirs

  std::vector<Gate> gates;         // those of tasks last
  std::optional<Verdict> verdict;  // the worst of all models and gates

  std::string dtype, device, date;
  int threads = 0;
  Json options;

  std::vector<std::string> not_written;  // outputs, and why
};

}  // namespace regroup::eval
