#include "uptrain/memory.h"

#include <gtest/gtest.h>

#include "tests/support/random_model.h"

namespace regroup::uptrain {
namespace {

using testing::small_config;

class Memory : public ::testing::Test {
 protected:
  Passes fitting(double available) const { return fitting_passes(question_, {.micro_batch = 12}, available); }
  double needed(const Passes& passes) const { return estimate_memory(question_, passes).total(); }

  const family::ModelConfig config_ = small_config();
  const std::string precision_ = "fp32";
  const MemoryQuestion question_{.config = config_,
                                 .weights = {50000, 50000, 50000},
                                 .sequence_length = 4096,
                                 .precision = precision_,
                                 .program = 1e8};
};

TEST_F(Memory, WeightsAreMastersGradientsMomentsAndWhatAutogradLeaves) {
  EXPECT_EQ(estimate_memory(question_, {}).weights, 20.0 * 50000);
  MemoryQuestion keys = question_;
  keys.weights = {50000, 1000, 1000};
  EXPECT_EQ(estimate_memory(keys, {}).weights, 4.0 * 50000 + 16.0 * 1000);
  keys.weights.second_moments = 0;
  EXPECT_EQ(estimate_memory(keys, {}).weights, 4.0 * 50000 + 12.0 * 1000) << "Muon has one moment";
}

TEST_F(Memory, FrozenProjectionsKeepLess) {
  MemoryQuestion attention = question_;
  attention.trains_down_projections = false;
  EXPECT_EQ(estimate_memory(question_, {}).activations - estimate_memory(attention, {}).activations,
            4.0 * 4096 * static_cast<double>(config_.layers * config_.ffn));
}

TEST_F(Memory, MatchingHoldsOneLayer) {
  MemoryQuestion matching = question_;
  matching.sees_logits = false;
  family::ModelConfig deeper = config_;
  deeper.layers = 10 * config_.layers;
  const MemoryQuestion deep{.config = deeper,
                            .weights = question_.weights,
                            .sequence_length = 4096,
                            .precision = precision_,
                            .sees_logits = false,
                            .program = 1e8};
  EXPECT_EQ(estimate_memory(matching, {}).activations, estimate_memory(deep, {}).activations);
  EXPECT_LT(estimate_memory(matching, {}).activations, estimate_memory(question_, {}).activations);
}

TEST_F(Memory, ActivationsGrowWithWindowsAndShrinkWhenRecomputed) {
  const double two = needed({.micro_batch = 2}), three = needed({.micro_batch = 3}),
               four = needed({.micro_batch = 4});
  EXPECT_NEAR(four - three, three - two, 1);
  EXPECT_GT(three, two);
  EXPECT_LT(needed({.micro_batch = 4, .recompute = true}), four);
}

TEST_F(Memory, WhatIsNotFusedKeepsItsParts) {
  MemoryQuestion plain = question_;
  plain.fused = false;
  EXPECT_GT(estimate_memory(plain, {}).activations, estimate_memory(question_, {}).activations);
}

TEST_F(Memory, PassesAreHalvedUntilTheyFit) {
  EXPECT_EQ(fitting(1e12).micro_batch, 12);
  EXPECT_EQ(fitting(needed({.micro_batch = 12})).micro_batch, 12);
  EXPECT_EQ(fitting(needed({.micro_batch = 12}) - 1).micro_batch, 6);
  EXPECT_EQ(fitting(needed({.micro_batch = 3})).micro_batch, 3);
  EXPECT_FALSE(fitting(needed({.micro_batch = 1})).recompute);
}

TEST_F(Memory, ActivationsAreRecomputedWhereOneWindowWouldNotFit) {
  const double little = needed({.micro_batch = 1}) - 1;
  const Passes passes = fitting(little);
  EXPECT_TRUE(passes.recompute);
  EXPECT_LE(needed(passes), little);
  const Passes least = fitting(0);
  EXPECT_TRUE(least.recompute);
  EXPECT_EQ(least.micro_batch, 1);
}

}  // namespace
}  // namespace regroup::uptrain
