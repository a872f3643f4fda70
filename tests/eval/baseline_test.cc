#include "eval/baseline.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/file.h"
#include "core/base/output_file.h"
#include "core/base/random.h"
#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/npy.h"
#include "eval/report.h"
#include "tests/eval/sample_result.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::eval {
namespace {

using testing::user_error_of;

// A source and one model `above` it, with noise of its own.
Nats noisy_nats(double above) {
  RandomStream random(5, "baseline");
  Nats nats(2, std::vector<double>(600));
  for (std::size_t i = 0; i < 600; ++i) {
    nats[0][i] = 3 + random.normal();
    nats[1][i] = nats[0][i] + above + 0.2 * random.normal();
  }
  return nats;
}

class Since : public ::testing::Test {
 protected:
  const Clusters clusters_ = equal_clusters(60, 10);
  testing::TempDir folder_;

  // The earlier run's report, with its --per-token file if asked.
  std::filesystem::path write_earlier(const Nats& nats, bool per_token) {
    Result earlier = sample_result(nats, clusters_);
    earlier.models[1].facts.weights_sha256 = std::string(64, 'e');
    Json json = report_json(earlier);
    json["options"] = Json::object();
    if (per_token) {
      json["options"]["per-token"] = "gone/nats.npy";  // it lies beside the report now
      write_output_file(folder_ / "nats.npy", npy_bytes(nats), true);
    }
    write_output_file(folder_ / "earlier.json", to_text(json), true);
    return folder_ / "earlier.json";
  }

  Result compare(const Nats& nats, const std::vector<Gate>& gates = {}) {
    const Baseline baseline(folder_ / "earlier.json");
    Result result = sample_result(nats, clusters_);
    result.baseline = baseline.facts();
    result.gates = gates;
    for (ModelResult& model : result.models) model = {.facts = model.facts};
    compare_models(scores_of(nats), clusters_, result, &baseline);
    return result;
  }

  std::string refusal(const Result& now) {
    return user_error_of(
        [&] { Baseline(folder_ / "earlier.json").require_comparable(now, now.models.front().facts); });
  }
};

TEST_F(Since, IsPairedWhereEveryTokenIsStillThere) {
  const Nats before = noisy_nats(0.1);
  Nats after = before;
  for (std::size_t i = 0; i < after[1].size(); ++i) after[1][i] += i % 20 < 10 ? 0.01 : 0.03;
  write_earlier(before, true);
  const SinceBaseline since = compare(after).models[1].since.value();
  EXPECT_TRUE(since.paired);
  EXPECT_NEAR(since.change.value, 0.02, 1e-12);
  EXPECT_NEAR(*since.change.error, 0.01 / std::sqrt(59.), 1e-6);
  EXPECT_NEAR(since.ratio.value, std::exp(0.02), 1e-12);
}

TEST_F(Since, IsUnpairedWithoutThem) {
  const Nats before = noisy_nats(0.1), after = noisy_nats(0.12);
  write_earlier(before, false);
  const Result result = compare(after);
  const SinceBaseline since = result.models[1].since.value();
  EXPECT_FALSE(since.paired);
  EXPECT_NEAR(since.change.value, 0.02, 1e-9);
  const double then = *sample_result(before, clusters_).models[1].difference->error;
  EXPECT_NEAR(*since.change.error, std::hypot(then, *result.models[1].difference->error), 1e-12);
}

TEST_F(Since, AnotherRunsTokensAreNotPaired) {
  write_earlier(noisy_nats(0.1), true);
  write_output_file(folder_ / "nats.npy", npy_bytes(noisy_nats(0.3)), true);
  EXPECT_FALSE(compare(noisy_nats(0.12)).models[1].since->paired);
  write_output_file(folder_ / "nats.npy", std::string_view("no array"), true);
  EXPECT_FALSE(compare(noisy_nats(0.12)).models[1].since->paired);
}

TEST_F(Since, TheSameAgainIsNoChange) {
  write_earlier(noisy_nats(0.1), true);
  const SinceBaseline since = compare(noisy_nats(0.1)).models[1].since.value();
  EXPECT_EQ(since.change.value, 0);
  EXPECT_FALSE(since.change.error.has_value());  // other weights: what was not seen may differ
}

TEST_F(Since, AGateFlipsOnTheRightSideOfARegression) {
  const Nats before = noisy_nats(0.1);
  write_earlier(before, true);
  const auto kinds = gate_kinds();
  const auto kind =
      std::ranges::find(kinds, std::string_view("max_baseline_ratio"), &GateKind::key) - kinds.begin();
  const auto verdict = [&](double worse) {
    Nats after = before;
    for (std::size_t i = 0; i < after[1].size(); ++i) after[1][i] += worse + (i % 20 < 10 ? 0.002 : -0.002);
    return compare(after, {{1.02, 0.95, static_cast<std::size_t>(kind)}}).verdict.value();
  };
  EXPECT_EQ(verdict(0.01), Verdict::kPass);
  EXPECT_EQ(verdict(std::log(1.02)), Verdict::kCannotTell);
  EXPECT_EQ(verdict(0.03), Verdict::kFail);
}

TEST_F(Since, WhatDiffersIsRefusedByName) {
  write_earlier(noisy_nats(0.1), false);
  const Result same = sample_result(noisy_nats(0.1), clusters_);
  EXPECT_NO_THROW(Baseline(folder_ / "earlier.json").require_comparable(same, same.models.front().facts));
  const auto changed = [&](const std::function<void(Result&)>& change) {
    Result result = same;
    change(result);
    return refusal(result);
  };
  EXPECT_CONTAINS(changed([](Result& r) { r.files[0].sha256 = std::string(64, '0'); }),
                  "the SHA-256 of the data was");
  EXPECT_CONTAINS(changed([](Result& r) { r.convention = "gptq"; }),
                  "the --convention was consecutive, is gptq");
  EXPECT_CONTAINS(changed([](Result& r) { r.window = 128; }), "the --window was 256, is 128");
  EXPECT_CONTAINS(changed([](Result& r) { r.tokenizer_sha256 = std::string(64, 't'); }),
                  "the tokenizer was none, is tttttttttttt…");
  EXPECT_CONTAINS(changed([](Result& r) { r.document_convention = "No BOS."; }), "way to documents");
  EXPECT_CONTAINS(changed([](Result& r) { r.scored_tokens = 5; }), "number of scored tokens was 600, is 5");
  EXPECT_CONTAINS(changed([](Result& r) { r.models[0].facts.config_sha256 = std::string(64, '0'); }),
                  "source's config.json");
  EXPECT_CONTAINS(changed([](Result& r) { r.models[0].facts.weights_sha256 = std::string(64, '0'); }),
                  "source's weights");
  const std::string both = changed([](Result& r) { r.window = 128, r.convention = "gptq"; });
  EXPECT_CONTAINS(both, "--convention");
  EXPECT_CONTAINS(both, "--window");
}

TEST_F(Since, RefusesWhatIsNoReport) {
  write_output_file(folder_ / "earlier.json", std::string_view("{\"a\": 1}"), true);
  const auto open = [&] { return user_error_of([&] { Baseline(folder_ / "earlier.json"); }); };
  EXPECT_CONTAINS(open(), "not the result of an evaluation");
  write_output_file(folder_ / "earlier.json",
                    std::string_view(R"({"format": "regroup-eval", "format_version": 1})"), true);
  EXPECT_CONTAINS(open(), "its format is version 1; versions 2 to 4 are read. Run the baseline again");
  write_output_file(folder_ / "earlier.json",
                    std::string_view(R"({"format": "regroup-eval", "format_version": 5})"), true);
  EXPECT_CONTAINS(open(), "Use the program that wrote it");
  write_output_file(folder_ / "earlier.json",
                    std::string_view(R"({"format": "regroup-eval", "format_version": 3})"), true);
  EXPECT_CONTAINS(refusal(sample_result(noisy_nats(0), clusters_)), "lacks what an evaluation has");
  write_earlier(noisy_nats(0.1), false);
  EXPECT_CONTAINS(
      user_error_of([&] { Baseline(folder_ / "earlier.json").require_model("b", "--max-baseline-ratio"); }),
      "has no model of that name: expected one of a, found b");
}

// Before anything is scored, not after; and whatever is wrong with it.
TEST_F(Since, RefusesWhatIsDamaged) {
  const auto written = [&](const std::function<void(Json&)>& change) {
    Json json = read_json(write_earlier(noisy_nats(0.1), false));
    change(json);
    write_output_file(folder_ / "earlier.json", to_text(json), true);
    return refusal(sample_result(noisy_nats(0), clusters_));
  };
  EXPECT_CONTAINS(written([](Json& json) { json["format"] = 5; }), "not the result of an evaluation");
  EXPECT_CONTAINS(written([](Json& json) { json["format_version"] = "3"; }),
                  "not the result of an evaluation");
  EXPECT_CONTAINS(written([](Json& json) { json["models"][1].erase("difference"); }), "lacks what");
  EXPECT_CONTAINS(written([](Json& json) { json["models"][1]["difference"]["value"] = Json(); }),
                  "lacks what");
  EXPECT_CONTAINS(written([](Json& json) { json["errors"].erase("clusters"); }), "lacks what");
  EXPECT_CONTAINS(written([](Json& json) { json["arithmetic"]["dtype"] = "bf16"; }), "the --dtype was bf16");
}

TEST_F(Since, IsInEveryReport) {
  const Nats before = noisy_nats(0.1);
  write_earlier(before, true);
  Nats after = before;
  for (std::size_t i = 0; i < after[1].size(); ++i) after[1][i] += i % 20 < 10 ? 0.01 : 0.03;
  Result result = compare(after);
  const std::string sentence = baseline_sentence(result.models[1], result);
  EXPECT_TRUE(sentence.starts_with(
      "a since earlier.json of 2026-01-02: perplexity 2.0% higher than the baseline's ("))
      << sentence;
  EXPECT_TRUE(sentence.ends_with("), token by token.")) << sentence;
  for (const std::string& text : {terminal_text(result), report_markdown(result)})
    EXPECT_CONTAINS(text, sentence);
  EXPECT_CONTAINS(report_html(result), "a since earlier.json of 2026-01-02: ");
  const Json json = report_json(result);
  EXPECT_EQ(json["models"][1]["since_baseline"]["paired"], true);
  EXPECT_EQ(json["baseline"]["sha256"], result.baseline->sha256);
  result.models[1].since.reset();
  EXPECT_EQ(baseline_sentence(result.models[1], result), "a is not in the baseline earlier.json.");
}

}  // namespace
}  // namespace regroup::eval
