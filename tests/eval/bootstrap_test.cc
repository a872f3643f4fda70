#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/eval.h"
#include "eval/report.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

// 600 tokens in 60 blocks; in every `rare`-th block the model is off by three nats.
Result resampled_result(int rare, std::int64_t clusters = 60) {
  std::vector<Scores> scores(2);
  for (int i = 0; i < 600; ++i) {
    const bool off = i / 10 % rare == 0;
    scores[0].nats.push_back(2);
    scores[1].nats.push_back(2 + (off ? 3 : 0.01 * (i / 10 % 7)));
    scores[0].top.push_back(1);
    scores[1].top.push_back(off ? 2 : 1);
    scores[1].kl.push_back(off ? 2 : 0.01 * (i / 10 % 5));
  }
  return sample_result(scores, equal_clusters(clusters, 600 / clusters), {}, [](Result& result) {
    result.replicates = 1000;
    result.seed = 3;
  });
}

TEST(EvalBootstrap, IntervalsStandBesideTheOthers) {
  const Result result = resampled_result(2);
  const std::vector<ResampledFigure>& figures = result.models[1].resampled;
  ASSERT_EQ(figures.size(), 4u);
  EXPECT_EQ(figures[0].key, "difference");
  EXPECT_NEAR(figures[0].interval.low, result.models[1].difference->interval->low, 0.05);
  EXPECT_DOUBLE_EQ(figures[1].interval.high, std::exp(figures[0].interval.high));
  EXPECT_EQ(figures[3].key, "same_top");
  EXPECT_LE(figures[3].interval.high, 1);
  EXPECT_TRUE(result.models[0].resampled.empty());
  const Json json = report_json(result)["models"];
  EXPECT_EQ(json[1]["bootstrap"]["replicates"], 1000);
  EXPECT_EQ(json[1]["bootstrap"]["seed"], 3);
  EXPECT_EQ(json[1]["bootstrap"]["intervals"]["kl_divergence"][0].get<double>(), figures[2].interval.low);
  EXPECT_EQ(json[0]["bootstrap"], nullptr);
}

TEST(EvalBootstrap, DisagreementIsSaid) {
  EXPECT_EQ(bootstrap_sentence(resampled_result(2).models[1], resampled_result(2)), "");
  const Result skewed = resampled_result(30);  // two bad blocks
  const std::string sentence = bootstrap_sentence(skewed.models[1], skewed);
  EXPECT_TRUE(sentence.starts_with("a, by 1,000 resamples of its blocks: difference to the source "))
      << sentence;
  for (const std::string& text : {terminal_text(skewed), report_markdown(skewed), report_html(skewed)})
    EXPECT_NE(text.find(sentence), std::string::npos);
}

TEST(EvalBootstrap, TooFewClustersHaveNone) {
  const Result result = resampled_result(2, 10);
  EXPECT_TRUE(result.models[1].resampled.empty());
  EXPECT_EQ(report_json(result)["models"][1]["bootstrap"]["intervals"], Json::object());
}

TEST(Bootstrap, AsksForMoreResamplesTheFartherItsPercentilesAre) {
  EXPECT_EQ(least_replicates(0.9), 100);
  EXPECT_EQ(least_replicates(0.95), 200);
  EXPECT_EQ(least_replicates(0.999), 10'000);
}

}  // namespace
}  // namespace regroup::eval
