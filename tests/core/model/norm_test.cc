#include "core/model/norm.h"

#include <gtest/gtest.h>

namespace regroup::model {
namespace {

// The root of the mean square of 1 and 7 is 5; neither 1/5 nor 7/5 is a half.
TEST(RmsNorm, RoundsBeforeItMultipliesByTheWeight) {
  const at::Tensor x = at::tensor({1.F, 7.F}).to(at::kHalf), weight = at::tensor({3.F, 3.F}).to(at::kHalf);
  const at::Tensor rounded = at::tensor({0.2F, 1.4F}).to(at::kHalf) * weight;
  ASSERT_FALSE(at::equal(rounded, at::tensor({0.6F, 4.2F}).to(at::kHalf)));
  EXPECT_TRUE(at::equal(rms_norm(x, weight, 0), rounded));
}

TEST(RmsNorm, EpsilonIsAddedToTheMeanSquare) {
  const at::Tensor x = at::tensor({2., -2.}), weight = at::tensor({1., 0.5});
  EXPECT_TRUE(at::allclose(rms_norm(x, weight, 12), at::tensor({0.5, -0.25}), 1e-12));
}

// The fused passes of float32 against what float64 computes without them.
TEST(Norm, RmsNormsOfFloat32AreThoseOfFloat64) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({5, 24}), weight = at::randn({24});
  for (const auto& norm : {rms_norm, rms_norm_plus_one}) {
    const at::Tensor expected = norm(x.to(at::kDouble), weight.to(at::kDouble), 1e-5);
    EXPECT_LT((norm(x, weight, 1e-5) - expected).abs().max().item<double>(), 2e-6);
  }
}

}  // namespace
}  // namespace regroup::model
