#include "eval/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

#include "core/base/file.h"
#include "core/base/output_file.h"
#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/report.h"
#include "eval/task_compare.h"
#include "eval/task_report.h"
#include "tests/eval/sample_result.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

using testing::user_error_of;

const fs::path kGolden = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/eval/tasks";

Options golden_options() {
  Options options;
  options.source = fs::path(REGROUP_SOURCE_DIR) / "demo/kjv-mha";
  options.task_data = kGolden;
  for (const Task& task : tasks()) options.tasks.emplace_back(task.name);
  options.window = read_json(kGolden / "expected.json")["window"];
  return options;
}

// Every likelihood and every decision of lm-eval on records of both kinds: spaces at the ends, characters of
// several bytes, more or fewer choices, a context that is too long.
TEST(TaskParity, EveryExampleIsThatOfLmEval) {
  const Json expected = read_json(kGolden / "expected.json")["examples"];
  const testing::TempDir folder;
  Options options = golden_options();
  options.per_example = folder / "examples.jsonl";
  evaluate(options);
  std::map<std::string, std::size_t> seen;
  std::istringstream lines(read_text(options.per_example));
  for (std::string line; std::getline(lines, line);) {
    const Json ours = parse_json(line, "line");
    const std::string name = ours["task"];
    const Json& theirs = expected[name][seen[name]++];
    const Json& answer = ours["answers"][0];
    ASSERT_EQ(answer["nats"].size(), theirs["nats"].size());
    for (std::size_t i = 0; i < theirs["nats"].size(); ++i)
      EXPECT_NEAR(answer["nats"][i].get<double>(), theirs["nats"][i].get<double>(), 1e-3) << line;
    EXPECT_EQ(answer["acc"], theirs["acc"]) << line;
    EXPECT_EQ(answer.contains("acc_norm"), theirs.contains("acc_norm"));
    EXPECT_EQ(answer.value("acc_norm", false), theirs.value("acc_norm", false)) << line;
  }
  for (const Task& task : tasks()) EXPECT_EQ(seen[std::string(task.name)], expected[task.name].size());
}

TEST(TaskParity, FiguresAreThoseOfLmEval) {
  const Json expected = read_json(kGolden / "expected.json")["results"];
  const Result result = evaluate(golden_options());
  for (std::size_t t = 0; t < result.tasks.size(); ++t) {
    const Json& theirs = expected[result.tasks[t].name];
    for (const TaskAccuracy& accuracy : result.models[0].tasks[t].accuracies) {
      EXPECT_NEAR(accuracy.share.value, theirs[accuracy.key + ",none"].get<double>(), 1e-12);
      EXPECT_NEAR(accuracy.share.error.value_or(0), theirs[accuracy.key + "_stderr,none"].get<double>(),
                  1e-9);
    }
    EXPECT_EQ(result.models[0].tasks[t].accuracies.size(), theirs.contains("acc_norm,none") ? 2u : 1u);
    const auto& perplexity = result.models[0].tasks[t].perplexity;
    ASSERT_EQ(perplexity.has_value(), theirs.contains("perplexity,none"));
    if (perplexity) {
      EXPECT_NEAR(perplexity->value / theirs["perplexity,none"].get<double>(), 1, 1e-4);
    }
  }
}

TEST(TaskParity, BatchesChangeNothingButRounding) {
  Options options = golden_options();
  const testing::TempDir folder;
  options.per_example = folder / "a.jsonl";
  evaluate(options);
  options.per_example = folder / "b.jsonl";
  options.batch = 1;
  evaluate(options);
  std::istringstream one(read_text(folder / "a.jsonl")), other(read_text(folder / "b.jsonl"));
  for (std::string a, b; std::getline(one, a) && std::getline(other, b);) {
    const Json left = parse_json(a, "a")["answers"][0]["nats"],
               right = parse_json(b, "b")["answers"][0]["nats"];
    for (std::size_t i = 0; i < left.size(); ++i)
      EXPECT_NEAR(left[i].get<double>(), right[i].get<double>(), 1e-4);
  }
}

std::string refusal_of(const std::string& word, const fs::path& directory = {}) {
  return user_error_of([&] { open_tasks(std::vector<std::string>{word}, directory, 0); });
}

TEST(OpenTasks, SayWhatIsWrong) {
  const testing::TempDir folder;
  const auto refused = [&](const std::string& lines) {
    fs::remove(folder / "t.jsonl");
    write_text(folder / "t.jsonl", lines);
    return refusal_of("winogrande=" + (folder / "t.jsonl").string());
  };
  EXPECT_CONTAINS(refusal_of("hellaswag=x"), "--tasks: no such task: expected one of lambada_openai, piqa");
  EXPECT_CONTAINS(refusal_of("piqa"), "--tasks piqa: no file of examples");
  EXPECT_CONTAINS(refusal_of("piqa=nowhere.jsonl"), "nowhere.jsonl");
  EXPECT_CONTAINS(refused("\n{\"a\": 1}\n"),
                  "t.jsonl, line 2: no example of winogrande: expected an object with sentence, option1");
  EXPECT_CONTAINS(refused("{\"a\": 1}\n"), "found one with a");
  EXPECT_CONTAINS(refused("[1]"), "found array");
  EXPECT_CONTAINS(refused("{\"context_options\": [\"a\", \"b\"], \"continuation\": \"c\", \"gold\": 2}"),
                  "a right answer that is none of the choices");
  EXPECT_CONTAINS(refused("{\"context_options\": [\"a\", \"\"], \"continuation\": \"c\", \"gold\": 0}"),
                  "a choice without text");
  EXPECT_CONTAINS(
      refused("{\"sentence\": \"no\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}"),
      "without a blank");
  EXPECT_CONTAINS(refused("\n"), "holds no examples");
  const std::vector<std::string> twice = {"piqa", "piqa"};
  EXPECT_CONTAINS(user_error_of([&] { open_tasks(twice, kGolden, 0); }), "piqa is given twice");
}

TEST(OpenTasks, TakeTheFirstExamples) {
  const std::vector<std::string> words = {"piqa"};
  EXPECT_EQ(open_tasks(words, kGolden, 3).front().examples.size(), 3u);
  EXPECT_EQ(open_tasks(words, kGolden, 0).front().examples.size(), 8u);
}

TEST(EncodeTasks, RefuseWhatCannotBeScored) {
  Options options = golden_options();
  options.window = 4;
  EXPECT_CONTAINS(user_error_of([&] { evaluate(options); }), "a continuation of ");
}

TEST(TaskStatistics, AreThoseOfTheirPapers) {
  EXPECT_NEAR(mcnemar_p(10, 2), 2 * (1 + 12 + 66) / 4096., 1e-12);
  EXPECT_NEAR(mcnemar_p(2, 10), mcnemar_p(10, 2), 1e-15);
  EXPECT_EQ(mcnemar_p(0, 0), 1);
  EXPECT_EQ(mcnemar_p(3, 3), 1);
  const Interval none = wilson_interval(0, 10, 0.95);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.27753, 1e-4);
  EXPECT_NEAR(wilson_interval(81, 263, 0.95).low, 0.2553, 1e-4);  // Newcombe 1998, table I
  EXPECT_NEAR(wilson_interval(81, 263, 0.95).high, 0.3662, 1e-4);
  const Estimate loss = loss_estimate(10, 2, 100);
  EXPECT_NEAR(loss.mean, 8 / 102., 1e-12);
  EXPECT_NEAR(loss.standard_error.value(), std::sqrt(13 - 64 / 102.) / 102, 1e-12);
  EXPECT_GT(loss_estimate(0, 0, 100).standard_error.value(), 0);
  EXPECT_FALSE(loss_estimate(0, 0, 1).standard_error.has_value());
}

// A source that is right on the first `right` of 400 examples, and a model that gets the first `worse` of
// them wrong and `better` of the others right; with a text or without; perhaps the source once more.
Result result_with_tasks(std::size_t right, std::size_t worse, std::size_t better,
                         std::optional<double> budget, bool with_text = false, std::size_t examples = 400,
                         bool same = false, const Baseline* baseline = nullptr,
                         std::string* lines = nullptr) {
  TaskData piqa{.task = &tasks()[1], .path = "piqa.jsonl", .examples = {}};
  TaskOutcomes source(1), model(1);
  const auto answer = [](bool correct) {
    return Outcome{.nats = {1, 2}, .chosen = correct ? 0u : 1u, .chosen_per_character = 0};
  };
  for (std::size_t i = 0; i < examples; ++i) {
    piqa.examples.push_back({.choices = {{"a", "b"}, {"a", "c"}}, .gold = 0});
    source[0].push_back(answer(i < right));
    model[0].push_back(answer(i < right ? i >= worse : i < right + better));
  }
  Result result = sample_result({{1, 3}, {1.2, 3.4}}, equal_clusters(2, 1));
  if (!with_text) {
    result.scored_tokens = result.stream_tokens = result.text_bytes = 0;
    result.files.clear();
    result.segment_ends.clear();
    result.cluster_summary.clear();
    for (ModelResult& each : result.models)
      each = {.facts = each.facts, .load_seconds = each.load_seconds, .score_seconds = each.score_seconds};
  }
  if (same)
    for (ModelResult& each : result.models) each.facts.weights_sha256 = std::string(64, 'a');
  result.tasks = {{"piqa", "Two ways.", static_cast<std::int64_t>(examples)}};
  result.task_files = {{"piqa.jsonl", 10, std::string(64, 'e')}};
  const auto kind = std::ranges::find(gate_kinds(), std::string_view("max_task_drop"), &GateKind::key);
  if (budget)
    result.gates = {
        {.budget = *budget, .kind = static_cast<std::size_t>(kind - gate_kinds().begin()), .task = "piqa"}};
  const std::vector<TaskOutcomes> outcomes = {source, model};
  if (baseline) result.baseline = baseline->facts();
  compare_tasks(std::vector<TaskData>{piqa}, outcomes, result, baseline);
  if (lines) *lines = per_example_lines(std::vector<TaskData>{piqa}, outcomes, result);
  return result;
}

TEST(CompareTasks, CountsWhatGotWorseAndBetter) {
  const TaskFigures figures = result_with_tasks(300, 20, 5, {}).models[1].tasks[0];
  const TaskAccuracy& accuracy = figures.accuracies[0];
  EXPECT_EQ(accuracy.key, "acc");
  EXPECT_DOUBLE_EQ(accuracy.share.value, 285 / 400.);
  EXPECT_EQ(accuracy.worse, 20);
  EXPECT_EQ(accuracy.better, 5);
  EXPECT_NEAR(accuracy.difference->value, -15 / 400., 1e-12);
  EXPECT_NEAR(accuracy.difference->error.value(), std::sqrt((25 - 15 * 15 / 400.) / (400. * 399)), 1e-12);
  EXPECT_LT(accuracy.difference->interval->high, 0);
  EXPECT_NEAR(accuracy.mcnemar_p, mcnemar_p(20, 5), 1e-15);
  EXPECT_EQ(figures.accuracies[1].key, "acc_norm");  // always right
  EXPECT_EQ(figures.accuracies[1].share.value, 1);
  EXPECT_FALSE(figures.perplexity.has_value());
}

// An earlier run in which the model got 10 of 400 examples wrong that the source got right; now 30.
TEST(CompareTasks, SayWhatHasChangedSinceABaseline) {
  const testing::TempDir folder;
  std::string lines;
  Result earlier = result_with_tasks(300, 10, 0, {}, false, 400, false, nullptr, &lines);
  earlier.options = {{"per-example", "gone/answers.jsonl"}};
  const auto since = [&](const Json& json) {
    write_output_file(folder / "earlier.json", to_text(json), true);
    const Baseline baseline(folder / "earlier.json");
    const Result now = result_with_tasks(300, 30, 0, {}, false, 400, false, &baseline);
    baseline.require_comparable(now, now.models.front().facts);
    const std::string said = fmt::format("{}", fmt::join(task_sentences(now.models[1], now), "\n"));
    return std::pair(now.models[1].tasks[0].since, said);
  };
  const Json json = report_json(earlier);
  const auto [unpaired, said] = since(json);
  ASSERT_TRUE(unpaired);
  EXPECT_FALSE(unpaired->paired);
  EXPECT_NEAR(unpaired->share.value, -20 / 400., 1e-12);
  EXPECT_NEAR(*unpaired->share.error, std::sqrt((290. * 110 + 270. * 130) / 400 / 400 / 399), 1e-12);
  EXPECT_CONTAINS(said, "accuracy 5.00 ± 3.24 points lower, unpaired");

  write_text(folder / "answers.jsonl", lines);  // beside the report
  const auto [paired, also_said] = since(json);
  EXPECT_TRUE(paired->paired);
  EXPECT_NEAR(paired->share.value, -20 / 400., 1e-12);
  EXPECT_LT(*paired->share.error, 0.5 * *unpaired->share.error);
  EXPECT_LT(paired->share.interval->high, 0);
  EXPECT_CONTAINS(also_said, "points lower, example by example");

  Json another = json;
  another["tasks"][0]["sha256"] = std::string(64, '0');
  EXPECT_CONTAINS(user_error_of([&] { since(another); }), "the file of task piqa was another");
  another = json;
  another["tasks"][0]["name"] = another["models"][1]["tasks"][0]["name"] = "arc_easy";
  EXPECT_FALSE(since(another).first) << "a task that it has not is not compared";
  fs::remove(folder / "answers.jsonl");
  write_text(folder / "answers.jsonl", lines.substr(0, lines.size() / 2));
  EXPECT_FALSE(since(json).first->paired) << "not what that run wrote";
}

TEST(TaskGate, DecidesEachTaskInPoints) {
  // 20 worse, 5 better of 400: 3.73 points, error 1.23; t(0.95, 399) = 1.649
  EXPECT_EQ(exit_code(result_with_tasks(300, 20, 5, 5.8)), 0);
  EXPECT_EQ(exit_code(result_with_tasks(300, 20, 5, 5.7)), 4);
  EXPECT_EQ(exit_code(result_with_tasks(300, 20, 5, 1.8)), 4);
  EXPECT_EQ(exit_code(result_with_tasks(300, 20, 5, 1.6)), 1);
  EXPECT_EQ(exit_code(result_with_tasks(300, 0, 0, 0.5)), 0);
  EXPECT_EQ(exit_code(result_with_tasks(300, 0, 0, 0.1)), 4);  // 400 examples cannot show so little
  EXPECT_EQ(exit_code(result_with_tasks(300, 0, 40, 0)), 0);
  EXPECT_EQ(exit_code(result_with_tasks(300, 40, 0, {})), 0);
}

// However few the examples; and a model that is the source has lost nothing.
TEST(TaskGate, StaysWithinWhatAccuracyCanBe) {
  const Result few = result_with_tasks(1, 1, 0, 5, false, 2);
  const Interval bounds = few.models[1].gates.front().bounds.value();
  EXPECT_EQ(bounds.low, -100);
  EXPECT_EQ(bounds.high, 100);
  EXPECT_GE(few.models[1].tasks[0].accuracies[0].difference->interval->low, -1);
  EXPECT_EQ(few.models[1].tasks[0].accuracies[0].share.error,
            std::nullopt);  // none of two: not "0.00 ± 0.00"
  EXPECT_EQ(exit_code(result_with_tasks(300, 0, 0, 0)), 4);
  const Result same = result_with_tasks(300, 0, 0, 0, false, 400, true);
  EXPECT_EQ(exit_code(same), 0);
  EXPECT_EQ(same.models[1].tasks[0].accuracies[0].difference->interval->low, 0);
}

TEST(TaskReports, WhatHasNotMovedIsNeitherHigherNorLower) {
  const Result result = result_with_tasks(300, 7, 7, {});
  EXPECT_CONTAINS(task_sentences(result.models[1], result).front(),
                  "points apart from the source's; 7 of 400 examples got worse, 7 better");
}

TEST(TaskReports, EveryOutputSaysWhatChanged) {
  const std::string sentence =
      "a on piqa: accuracy 3.75 ± 1.24 points lower than the source's; 20 of 400 examples got worse, 5 "
      "better "
      "(McNemar's exact test: p = 0.004).";
  for (const bool with_text : {false, true}) {
    const Result result = result_with_tasks(300, 20, 5, 2.0, with_text);
    EXPECT_EQ(task_sentences(result.models[1], result), std::vector<std::string>{sentence});
    const std::string decision = decision_sentence(result.models[1], result, 0);
    EXPECT_CONTAINS(decision, "Cannot tell: the accuracy drop in points on piqa of a is ");
    for (const std::string& text : {terminal_text(result), report_markdown(result)}) {
      EXPECT_CONTAINS(text, sentence);
      EXPECT_CONTAINS(text, "20 / 5");
      EXPECT_CONTAINS(text, decision);
      EXPECT_CONTAINS(text, "more examples of this kind would likely decide");
    }
    EXPECT_CONTAINS(report_html(result), "<h2>Tasks</h2>");
    EXPECT_CONTAINS(report_html(result), "20 of 400 examples got worse");
    EXPECT_CONTAINS(report_junit(result), "--max-task-drop 2 piqa");
    EXPECT_CONTAINS(report_junit(result), "20 of 400 examples got worse");
    const Json json = report_json(result);
    EXPECT_EQ(json["tasks"][0]["sha256"], std::string(64, 'e'));
    const Json& task = json["models"][1]["tasks"][0];
    EXPECT_EQ(task["name"], "piqa");
    EXPECT_EQ(task["acc"]["worse"], 20);
    EXPECT_EQ(task["acc"]["mcnemar_p"].get<double>(), mcnemar_p(20, 5));
    EXPECT_FALSE(json["models"][0]["tasks"][0]["acc"].contains("worse"));
    EXPECT_EQ(json["models"][1]["gates"].back()["task"], "piqa");
    EXPECT_EQ(json["models"][1]["nats_per_token"].is_null(), !with_text);
  }
}

TEST(TaskReports, WithoutATextNothingIsSaidOfOne) {
  const Result result = result_with_tasks(300, 20, 5, {});
  EXPECT_EQ(headline(result), task_sentences(result.models[1], result).front());
  for (const std::string& text : {terminal_text(result), report_markdown(result), report_html(result)}) {
    EXPECT_EQ(text.find("erplexity"), text.npos) << text;
    EXPECT_EQ(text.find("nats"), text.npos) << text;
  }
  Result alone = result;
  alone.models.resize(1);
  EXPECT_EQ(headline(alone), "source: accuracy 75.00 ± 2.17% on piqa.");
}

TEST(EvaluateTasks, NeedWhatTheyAreAskedFor) {
  Options options = golden_options();
  const auto refused = [&](auto change) {
    Options changed = options;
    change(changed);
    return user_error_of([&] { evaluate(changed); });
  };
  EXPECT_CONTAINS(refused([](Options& o) { o.tasks.clear(), o.task_data.clear(); }), "nothing to score");
  EXPECT_CONTAINS(refused([](Options& o) { o.tasks.clear(), o.data = {"x"}; }), "--task-data: needs --tasks");
  EXPECT_CONTAINS(refused([](Options& o) { o.max_ppl_ratio = 2; }), "--max-ppl-ratio: needs --data");
  EXPECT_CONTAINS(refused([](Options& o) { o.per_token = "x.npy"; }), "--per-token: needs --data");
  EXPECT_CONTAINS(refused([](Options& o) { o.max_task_drop = 1; }), "--max-task-drop: needs a model");
  EXPECT_CONTAINS(refused([](Options& o) { o.models = {o.source}, o.max_task_drop = 101; }),
                  "--max-task-drop: not a budget");
  EXPECT_CONTAINS(refused([](Options& o) { o.json = kGolden / "piqa.jsonl", o.overwrite = true; }),
                  "is the name of another output or of the data");
}

TEST(EvaluateTasks, StandBesideAText) {
  Options options = golden_options();
  options.models = {options.source};
  options.data = {kGolden.parent_path() / "text.txt"};
  options.max_ppl_ratio = 1;
  options.max_task_drop = 50;
  const Result result = evaluate(options);
  EXPECT_EQ(result.gates.size(), 1 + tasks().size());
  EXPECT_EQ(result.models[1].gates.size(), result.gates.size());
  EXPECT_EQ(result.models[1].tasks[1].accuracies[0].worse, 0);
  EXPECT_TRUE(result.models[0].perplexity.value > 1);
  EXPECT_EQ(exit_code(result), 0);
}

}  // namespace
}  // namespace regroup::eval
