#include "eval/quantization_scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/eval.h"
#include "eval/report.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// One model whose KL divergence, perplexity ratio and share of equal first choices are these.
Result model_at(double kl, double ratio, int same_of_thousand) {
  std::vector<Scores> scores(2);
  for (int i = 0; i < 1000; ++i) {
    scores[0].nats.push_back(2);
    scores[1].nats.push_back(2 + std::log(ratio));
    scores[0].top.push_back(1);
    scores[1].top.push_back(i < same_of_thousand ? 1 : 2);
    scores[1].kl.push_back(kl);
  }
  return sample_result(scores, equal_clusters(100, 10), {});
}

TEST(QuantizationScale, IsWorseInEveryFigureFromRowToRow) {
  for (const ScaleFigure& figure : scale_figures()) {
    std::optional<double> before;
    for (const Quantization& row : quantizations()) {
      const std::optional<double> value = figure.of_quantization(row);
      if (!value) continue;
      if (before) {
        EXPECT_TRUE(figure.key == "same_top" ? *value < *before : *value > *before) << row.name;
      }
      before = value;
    }
  }
}

// llama.cpp prints the mean ratio for four of them.
TEST(QuantizationScale, RatiosAreThoseOfItsSource) {
  const std::pair<std::string_view, double> printed[] = {
      {"q8_0", 1.000425}, {"q6_K", 1.003490}, {"q4_K_M", 1.028160}, {"q2_K", 1.564849}};
  for (const auto& [name, ratio] : printed)
    EXPECT_NEAR(std::ranges::find(quantizations(), name, &Quantization::name)->perplexity_ratio(), ratio,
                1e-6);
}

TEST(QuantizationScale, PlacesAModelBetweenItsNeighbours) {
  const Result result = model_at(0.3, 1.03, 900);
  EXPECT_EQ(
      scale_sentence(result.models[1]),
      "a beside llama.cpp's quantizations of Llama-3-8B: between q3_K_S and q2_K (KL divergence 0.3000); "
      "between q4_K_M and q4_K_S (perplexity ratio 1.0300); between q4_K_M and q2_K (same top 0.9000).");
  EXPECT_EQ(scale_sentence(result.models[0]), "");
}

TEST(QuantizationScale, HasEnds) {
  EXPECT_TRUE(contains(scale_sentence(model_at(0.001, 0.99, 1000).models[1]),
                       "better than q8_0 (KL divergence 0.0010); better than q8_0 (perplexity ratio 0.9900); "
                       "better than q8_0 (same top 1.0000)"));
  EXPECT_TRUE(
      contains(scale_sentence(model_at(2, 3, 10).models[1]), "worse than q2_K (KL divergence 2.0000)"));
  EXPECT_TRUE(contains(scale_sentence(model_at(0.445132, 3, 10).models[1]), "worse than q2_K (KL"));
}

TEST(QuantizationScale, IsCitedInEveryReport) {
  const Result result = model_at(0.05, 1.03, 900);
  for (const std::string& text :
       {terminal_text(result), report_markdown(result), report_html(result), to_text(report_json(result))})
    EXPECT_TRUE(contains(text, std::string(kScaleSource))) << text;
  EXPECT_TRUE(contains(report_html(result), "<h2>On the scale of quantizations</h2>"));
  const Json scale = report_json(result)["models"][1]["quantization_scale"];
  EXPECT_EQ(scale["kl_divergence"]["finer"], "q4_K_S");
  EXPECT_EQ(scale["kl_divergence"]["coarser"], "q3_K_L");
  EXPECT_EQ(report_json(model_at(2, 1, 1))["models"][1]["quantization_scale"]["kl_divergence"]["coarser"],
            nullptr);
}

TEST(QuantizationScale, IsNoPictureWithoutDivergences) {
  EXPECT_FALSE(
      contains(report_html(sample_result({{1, 2}, {1, 3}}, equal_clusters(2, 1))), "<h2>On the scale"));
}

}  // namespace
}  // namespace regroup::eval
