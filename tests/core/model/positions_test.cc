#include "core/model/positions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/random_model.h"

namespace regroup::model {
namespace {

at::Tensor turned(const at::Tensor& head_D, const family::ModelConfig& config, std::int64_t position) {
  return rotate(head_D.unsqueeze(0), rotation_at(config, position, 1, at::kDouble, at::kDouble)).squeeze(0);
}

TEST(Positions, ScoresDependOnDistanceOnly) {
  const auto config = testing::small_config();
  const at::Tensor q_D = at::arange(1, 9, at::kDouble), k_D = q_D.cos();
  const auto score = [&](std::int64_t query_at, std::int64_t key_at) {
    return turned(q_D, config, query_at).dot(turned(k_D, config, key_at)).item<double>();
  };
  EXPECT_NEAR(score(7, 3), score(104, 100), 1e-12);
  EXPECT_NEAR(score(0, 0), q_D.dot(k_D).item<double>(), 1e-12);
  EXPECT_GT(std::abs(score(7, 3) - score(7, 4)), 1e-3);
}

TEST(Positions, PairsAreTheTwoHalves) {
  const auto config = testing::small_config();
  at::Tensor head_D = at::zeros({8}, at::kDouble);
  head_D[1] = 1;
  const at::Tensor result_D = turned(head_D, config, 5);
  const double angle = 5 * std::pow(10000.0, -2.0 / 8);
  EXPECT_NEAR(result_D[1].item<double>(), std::cos(angle), 1e-12);
  EXPECT_NEAR(result_D[5].item<double>(), std::sin(angle), 1e-12);
  EXPECT_NEAR(result_D.square().sum().item<double>(), 1, 1e-12);
}

TEST(Positions, CoordinatesBehindTheTurnedOnesStay) {
  auto config = testing::small_config();
  config.rope.dims = 4;
  const at::Tensor head_D = at::arange(1, 9, at::kDouble);
  const at::Tensor result_D = turned(head_D, config, 5);
  EXPECT_TRUE(at::equal(result_D.narrow(0, 4, 4), head_D.narrow(0, 4, 4)));
  const double angle = 5 * std::pow(10000.0, -2.0 / 4);
  EXPECT_NEAR(result_D[3].item<double>(), 4 * std::cos(angle) + 2 * std::sin(angle), 1e-12);
}

TEST(Positions, HalfTypesTakeTheirAnglesInFloat32) {
  const auto config = testing::small_config();
  EXPECT_EQ(rotation_frequencies(config, 1, at::kBFloat16).scalar_type(), at::kFloat);
  // bfloat16 cannot tell 1001 from 1000.
  const auto at_1000 = rotation_at(config, 1000, 2, at::kBFloat16, at::kBFloat16);
  EXPECT_NEAR(at_1000.cos_TC[1][0].item<double>(), std::cos(1001.0), 0.01);
  EXPECT_EQ(at_1000.cos_TC.scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace regroup::model
