#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/output_file.h"
#include "core/base/progress.h"
#include "core/data/formats.h"
#include "eval/baseline.h"
#include "eval/bootstrap.h"
#include "eval/clusters.h"
#include "eval/compare.h"
#include "eval/convention.h"
#include "eval/eval.h"
#include "eval/gate.h"
#include "eval/inputs.h"
#include "eval/memory.h"
#include "eval/npy.h"
#include "eval/report.h"
#include "eval/score.h"
#include "eval/scored_text.h"
#include "eval/task_compare.h"
#include "eval/task_scores.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

struct Output {
  std::string_view flag;
  fs::path path;
};

std::vector<Output> wanted_outputs(const Options& options) {
  std::vector<Output> outputs;
  for (Output output :
       {Output{"--report", options.report}, Output{"--json", options.json},
        Output{"--markdown", options.markdown}, Output{"--junit", options.junit},
        Output{"--per-token", options.per_token}, Output{"--per-example", options.per_example},
        Output{"--lm-eval-json", options.lm_eval_json}})
    if (!output.path.empty()) outputs.push_back(std::move(output));
  return outputs;
}

void check_outputs(const Options& options) {
  std::vector<fs::path> taken;
  for (const fs::path& file : options.data) taken.push_back(fs::weakly_canonical(file));
  if (!options.baseline.empty()) taken.push_back(fs::weakly_canonical(options.baseline));
  for (const std::string& word : options.tasks)
    taken.push_back(fs::weakly_canonical(task_file(word, options.task_data)));
  for (const Output& output : wanted_outputs(options)) {
    require_output_file(output.path, output.flag, options.overwrite);
    const fs::path whole = fs::weakly_canonical(output.path);
    if (std::ranges::find(taken, whole) != taken.end())
      throw UserError({.where = fmt::format("{} {}", output.flag, output.path.string()),
                       .what = "is the name of another output or of the data",
                       .remedy = "Give every file its own name"});
    taken.push_back(whole);
  }
}

bool has_gate(const Options& options) {
  return std::ranges::any_of(gate_kinds(),
                             [&](const GateKind& kind) { return (options.*kind.budget).has_value(); });
}

// What is asked for a text, or for tasks, needs some.
void check_subjects(const Options& options) {
  if (options.data.empty() && options.tasks.empty())
    throw UserError({.where = "regroup eval",
                     .what = "nothing to score",
                     .expected = "--data FILE, --tasks NAME=FILE, or both"});
  const auto require = [](bool wanted, bool there, std::string_view flag, std::string_view needed) {
    if (wanted && !there)
      throw UserError({.where = std::string(flag), .what = fmt::format("needs {}", needed)});
  };
  const bool data = !options.data.empty(), tasks = !options.tasks.empty();
  for (const GateKind& kind : gate_kinds())
    require((options.*kind.budget).has_value(), kind.of_tasks() ? tasks : data, kind.flag,
            kind.of_tasks() ? "--tasks" : "--data");
  require(!options.per_token.empty(), data, "--per-token", "--data");
  require(!options.per_example.empty(), tasks, "--per-example", "--tasks");
  const Options unset;
  require(options.data_format != unset.data_format, data, "--data-format", "--data");
  require(options.convention != unset.convention, data, "--convention", "--data");
  require(options.max_tokens > 0, data, "--max-tokens", "--data");
  require(options.bootstrap > 0, data, "--bootstrap", "--data");
  require(options.bootstrap > 0, !options.models.empty(), "--bootstrap",
          "a model to compare with the source");
  require(!options.task_data.empty(), tasks, "--task-data", "--tasks");
  require(options.max_examples > 0, tasks, "--max-examples", "--tasks");
}

void check_gates(const Options& options) {
  for (const GateKind& kind : gate_kinds()) {
    const std::optional<double>& budget = options.*kind.budget;
    if (budget && options.models.empty())
      throw UserError(
          {.where = std::string(kind.flag),
           .what = "needs a model to compare with the source",
           .remedy = fmt::format("Give it: regroup eval SOURCE MODEL --data FILE {} X", kind.flag)});
    if (budget && !kind.valid(*budget))
      throw UserError({.where = std::string(kind.flag),
                       .what = fmt::format("not a budget for the {}", kind.subject),
                       .expected = std::string(kind.expected),
                       .found = fmt::format("{}", *budget)});
  }
}

void check_baseline(const Options& options) {
  if (options.max_baseline_ratio && options.baseline.empty())
    throw UserError({.where = "--max-baseline-ratio",
                     .what = "has no earlier run to compare with",
                     .remedy = "Give what its --json wrote: --baseline earlier.json"});
  if (!options.baseline.empty() && options.models.empty())
    throw UserError({.where = "--baseline",
                     .what = "needs a model to compare with the source",
                     .remedy = "Give it: regroup eval SOURCE MODEL --data FILE --baseline earlier.json"});
}

void check_options(const Options& options) {
  check_subjects(options);
  check_gates(options);
  check_baseline(options);
  if (!options.lm_eval_json.empty() && options.models.size() > 1)
    throw UserError({.where = "--lm-eval-json",
                     .what = "holds one model, as lm-eval's files do",
                     .expected = "a source, or a source and one model",
                     .found = fmt::format("{} models beside the source", options.models.size())});
  if (!options.junit.empty() && !has_gate(options))
    throw UserError({.where = "--junit",
                     .what = "has no gate to report",
                     .remedy = "Give a budget, such as --max-ppl-ratio 1.02"});
  if (!(options.confidence > 0.5 && options.confidence < 1))
    throw UserError({.where = "--confidence",
                     .what = "not a confidence",
                     .expected = "a number between 0.5 and 1, such as 0.95",
                     .found = fmt::format("{}", options.confidence)});
  const std::int64_t least = least_replicates(options.confidence);
  if (options.bootstrap < 0 || (options.bootstrap > 0 && options.bootstrap < least))
    throw UserError({.where = "--bootstrap",
                     .what = "too few resamples to take percentiles of",
                     .expected = fmt::format("0 (none) or at least {}, better {}", least, 10 * least),
                     .found = fmt::format("{}", options.bootstrap)});
}

// All that can be written; what cannot is said in `result`.
void write_outputs(const Options& options, std::span<const Scores> scores, const std::string& example_lines,
                   Result& result) {
  const auto write = [&](const fs::path& path, const auto& content) {
    if (path.empty()) return;
    try {
      write_output_file(path, content(), options.overwrite);
    } catch (const UserError& error) {
      result.not_written.emplace_back(error.what());
    }
  };
  std::vector<std::vector<double>> nats;
  for (const Scores& each : scores) nats.push_back(each.nats);
  write(options.per_token, [&] { return npy_bytes(nats); });
  write(options.per_example, [&] { return example_lines; });
  write(options.json, [&] { return to_text(report_json(result)); });
  write(options.markdown, [&] { return report_markdown(result); });
  write(options.junit, [&] { return report_junit(result); });
  write(options.lm_eval_json, [&] { return to_text(lm_eval_json(result)); });
  write(options.report, [&] { return report_html(result); });
}

// No more windows at a time than there are.
std::int64_t batch_of(const Options& options, const Inputs& inputs) {
  const std::int64_t windows = std::max(std::ssize(inputs.windows), std::ssize(inputs.requests.windows));
  const std::int64_t asked =
      options.batch > 0 ? options.batch : std::max<std::int64_t>(1, kTokensAtATime / inputs.window);
  return std::min(asked, windows);
}

DataFile data_file(const fs::path& path) {
  return {path, fs::file_size(path), sha256_of_file(path)};
}

void describe_data(const Options& options, const Inputs& inputs, Result& result) {
  const Convention& rule = convention(options.convention);
  for (const fs::path& path : options.data)
    for (const fs::path& file : data::files_behind(path)) result.files.push_back(data_file(file));
  result.stream_tokens = inputs.stream_tokens;
  result.documents = inputs.documents;
  result.text_bytes = inputs.stream.text_bytes;
  result.text_words = inputs.stream.text_words;
  result.first_scored = rule.scores_first;
  result.document_convention = inputs.stream.convention;
  result.convention = rule.name;
  result.convention_summary = rule.summary;
  result.windows = std::ssize(inputs.windows);
  result.scored_tokens = data::scored_tokens(inputs.windows);
}

void describe_gates(const Options& options, Result& result) {
  for (std::size_t kind = 0; kind < gate_kinds().size(); ++kind) {
    const std::optional<double>& budget = options.*gate_kinds()[kind].budget;
    if (!budget) continue;
    Gate gate{.budget = *budget, .confidence = options.confidence, .kind = kind};
    if (!gate_kinds()[kind].of_tasks()) result.gates.push_back(gate);
    for (const TaskFacts& task : result.tasks) {
      if (!gate_kinds()[kind].of_tasks()) break;
      gate.task = task.name;
      result.gates.push_back(gate);
    }
  }
}

Result describe_measurement(const Options& options, const Inputs& inputs, const ScoreOptions& score) {
  Result result;
  if (!options.data.empty()) describe_data(options, inputs, result);
  for (const TaskData& task : inputs.tasks) {
    result.tasks.push_back(
        {std::string(task.task->name), std::string(task.task->summary), std::ssize(task.examples)});
    result.task_files.push_back(data_file(task.path));
  }
  result.tokenizer_sha256 = inputs.tokenizer_sha256;
  result.window = score.window;
  result.batch = score.batch;
  result.confidence = options.confidence;
  result.replicates = options.models.empty() ? 0 : options.bootstrap;
  result.seed = options.seed;
  describe_gates(options, result);
  result.dtype = score.dtype;
  result.device = score.device;
  result.threads = threads_in_use();
  result.options = options.resolved;
  result.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::now()));
  return result;
}

// Read and found comparable before anything is scored.
std::optional<Baseline> open_baseline(const Options& options, const std::vector<ModelFacts>& facts,
                                      Result& result) {
  if (options.baseline.empty()) return std::nullopt;
  Baseline baseline(options.baseline);
  baseline.require_comparable(result, facts.front());
  if (options.max_baseline_ratio)
    for (std::size_t m = 1; m < facts.size(); ++m)
      baseline.require_model(facts[m].name, "--max-baseline-ratio");
  result.baseline = baseline.facts();
  return baseline;
}

fs::path scratch_directory(const Options& options) {
  if (options.json.empty()) return fs::temp_directory_path();
  return options.json.has_parent_path() ? options.json.parent_path() : fs::path(".");
}

// Requests are shorter than windows of text: as many as hold no more tokens.
ScoreRequest request_of(const Requests& requests, const ScoreOptions& score) {
  std::int64_t longest = 1;
  for (const data::Window& window : requests.windows) longest = std::max(longest, window.length);
  return {.tokens = requests.tokens,
          .windows = requests.windows,
          .batch = std::max<std::int64_t>(1, score.batch * score.window / longest)};
}

struct AllScores {
  std::vector<Scores> text;            // of each model; none without data
  std::vector<TaskOutcomes> outcomes;  // of each model; none without tasks
};

std::vector<ModelFacts> facts_of_all(const Inputs& inputs) {
  std::vector<ModelFacts> facts;
  for (const family::ModelDirectory& model : inputs.models) facts.push_back(facts_of(model));
  name_models(facts);
  return facts;
}

// Of every model in turn, whose times and facts go to `result`.
AllScores score_models(const Inputs& inputs, const std::vector<ModelFacts>& facts, const ScoreOptions& score,
                       Result& result) {
  const std::int64_t total =
      data::scored_tokens(inputs.windows) + data::scored_tokens(inputs.requests.windows);
  AllScores all;
  std::shared_ptr<SourceStates> states;
  for (std::size_t m = 0; m < facts.size(); ++m) {
    Progress progress("scoring " + facts[m].name, static_cast<double>(total), "tokens");
    const auto done = [&](double tokens) { progress.advance(tokens); };
    const Scorer scorer(inputs.models[m], score);
    const auto start = std::chrono::steady_clock::now();
    if (!inputs.windows.empty())
      all.text.push_back(scorer.score({inputs.stream.tokens, inputs.windows, score.batch}, done,
                                      facts.size() > 1 ? &states : nullptr));
    if (!inputs.tasks.empty())
      all.outcomes.push_back(
          outcomes_of(inputs.tasks, inputs.requests, scorer.score(request_of(inputs.requests, score), done)));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    result.models.push_back(
        {.facts = facts[m], .load_seconds = scorer.load_seconds(), .score_seconds = seconds.count()});
  }
  return all;
}

void require_scored_bytes(const Options& options, const Result& result) {
  if (options.lm_eval_json.empty() || options.data.empty() || bytes_are_scored(result)) return;
  throw UserError(
      {.where = "--lm-eval-json",
       .what = "the bytes of what is scored are not known",
       .expected = "text, all of it scored: no shards, no --max-tokens, no blocks that leave a rest",
       .remedy = "Its figures are per byte; --json has those per token"});
}

void compare_texts(const Options& options, const Inputs& inputs, std::span<const Scores> scores,
                   const std::optional<Baseline>& baseline, Result& result) {
  const Clusters clusters = choose_clusters(inputs.windows, inputs.stream.document_starts);
  compare_models(scores, clusters, result, baseline ? &*baseline : nullptr);
  if (scores.size() < 2) return;
  ScoredText text = locate_scores(inputs.windows, inputs.stream.tokens, inputs.stream.document_starts);
  text.prefixed = result.first_scored;
  const std::unique_ptr<tokenizer::Tokenizer> reader = open_reader(options.source);
  if (reader) text.decode = [&](std::span<const Token> tokens) { return reader->decode(tokens); };
  locate_losses(scores, clusters, text, result);
}

}  // namespace

Result evaluate(const Options& options) {
  check_options(options);
  check_outputs(options);
  const Inputs inputs = open_inputs(options);
  ScoreOptions score = {.window = inputs.window,
                        .batch = batch_of(options, inputs),
                        .dtype = options.dtype,
                        .device = options.device,
                        .scratch = scratch_directory(options)};
  Result result = describe_measurement(options, inputs, score);
  require_scored_bytes(options, result);
  score.placement = place(inputs.models,
                          {.compared = result.scored_tokens,
                           .inputs = std::max(inputs_of(inputs.windows), inputs_of(inputs.requests.windows))},
                          score, options.memory);
  const std::vector<ModelFacts> facts = facts_of_all(inputs);
  const std::optional<Baseline> baseline = open_baseline(options, facts, result);
  const AllScores all = score_models(inputs, facts, score, result);
  if (!all.text.empty()) compare_texts(options, inputs, all.text, baseline, result);
  std::string example_lines;
  if (!all.outcomes.empty()) {
    compare_tasks(inputs.tasks, all.outcomes, result, baseline ? &*baseline : nullptr);
    example_lines = per_example_lines(inputs.tasks, all.outcomes, result);
  }
  write_outputs(options, all.text, example_lines, result);
  return result;
}

void require_written(const Result& result) {
  if (result.not_written.empty()) return;
  throw UserError({.where = "outputs", .what = fmt::format("{}", fmt::join(result.not_written, "; "))});
}

}  // namespace regroup::eval
