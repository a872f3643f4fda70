#include "core/family/model_config.h"

#include <gtest/gtest.h>

#include <cmath>

namespace regroup::family {
namespace {

// Llama-2-7B.
ModelConfig llama_2_7b() {
  ModelConfig config;
  config.vocab_size = 32000;
  config.hidden = 4096;
  config.layers = 32;
  config.heads = config.kv_heads = 32;
  config.head_dim = 128;
  config.rope.dims = 128;
  config.ffn = 11008;
  return config;
}

TEST(ModelConfig, CountsLlama2) {
  const ModelConfig config = llama_2_7b();
  // 6,738,415,616 parameters without the embedding and the 65 norms.
  EXPECT_EQ(matmul_parameters(config), 6'738'415'616 - 32000LL * 4096 - 65 * 4096);
  EXPECT_EQ(kv_bytes_per_token(config, 2), 512 * 1024);  // 512 KiB a token in fp16
  EXPECT_DOUBLE_EQ(training_flops_per_token(config, 2048),
                   6.0 * static_cast<double>(matmul_parameters(config)) + 6.0 * 32 * 2048 * 4096);
}

TEST(ModelConfig, GroupedHeadsCostLess) {
  ModelConfig config = llama_2_7b();
  config.kv_heads = 8;
  EXPECT_EQ(kv_bytes_per_token(config, 2), 128 * 1024);
  EXPECT_EQ(matmul_parameters(llama_2_7b()) - matmul_parameters(config), 32LL * 2 * 4096 * (4096 - 1024));
}

TEST(ModelConfig, ReachesTheDivisorsOfItsKvHeads) {
  ModelConfig config = llama_2_7b();
  config.heads = 40;
  config.kv_heads = 20;
  EXPECT_EQ(reachable_kv_heads(config), (std::vector<std::int64_t>{20, 10, 5, 4, 2, 1}));
}

TEST(RopeFrequencies, FallGeometrically) {
  ModelConfig config = llama_2_7b();
  const auto frequencies = rope_frequencies(config, 1);
  ASSERT_EQ(frequencies.size(), 64u);
  EXPECT_EQ(frequencies[0], 1);
  EXPECT_NEAR(frequencies[32], 0.01, 1e-15);  // 10000^(-1/2)
}

TEST(RopeFrequencies, InFloat32AreThoseOfHfBitForBit) {
  // torch 2.13: 1.0 / (10000.0 ** (torch.arange(0, 10, 2, dtype=torch.float) / 10)); where single roundings
  // of the exact values would differ, as in the third, HF's stands.
  ModelConfig config;
  config.rope.dims = 10;
  EXPECT_EQ(rope_frequencies_float32(config, 1),
            (std::vector<float>{0x1p+0F, 0x1.44960cp-3F, 0x1.9b8c26p-6F, 0x1.04e748p-8F, 0x1.4acda8p-11F}));
}

TEST(RopeFrequencies, LinearScalingDivides) {
  ModelConfig config = llama_2_7b();
  const auto plain = rope_frequencies(config, 1);
  config.rope.scaling = RopeScaling::kLinear;
  config.rope.factor = 4;
  const auto scaled = rope_frequencies(config, 1);
  for (std::size_t j = 0; j < plain.size(); ++j) EXPECT_DOUBLE_EQ(scaled[j], plain[j] / 4);
}

TEST(RopeFrequencies, Llama3KeepsTheFastAndStretchesTheSlow) {
  ModelConfig config = llama_2_7b();
  const auto plain = rope_frequencies(config, 1);
  config.rope = {.dims = 128,
                 .theta = 10000,
                 .scaling = RopeScaling::kLlama3,
                 .factor = 8,
                 .low_freq_factor = 1,
                 .high_freq_factor = 4,
                 .original_positions = 8192};
  const auto scaled = rope_frequencies(config, 1);
  int kept = 0, blended = 0, stretched = 0;
  for (std::size_t j = 0; j < plain.size(); ++j) {
    const double turns = 8192 * plain[j] / (2 * M_PI);
    if (turns > 4) {
      EXPECT_EQ(scaled[j], plain[j]) << j;
      ++kept;
    } else if (turns < 1) {
      EXPECT_DOUBLE_EQ(scaled[j], plain[j] / 8) << j;
      ++stretched;
    } else {
      EXPECT_GT(scaled[j], plain[j] / 8) << j;
      EXPECT_LT(scaled[j], plain[j]) << j;
      ++blended;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(blended, 0);
  EXPECT_GT(stretched, 0);
}

// HF's BLOOM with 4 and with 6 heads (build_alibi_tensor), which is MPT's too.
TEST(AlibiSlopes, AreThoseOfHf) {
  EXPECT_EQ(alibi_slopes(4), (std::vector<double>{0.25, 0.0625, 0.015625, 0.00390625}));
  EXPECT_EQ(alibi_slopes(6), (std::vector<double>{0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125}));
}

TEST(ModelConfig, CountsTheExpertsThatATokenTakes) {
  ModelConfig config = llama_2_7b();
  const std::int64_t dense = matmul_parameters(config);
  config.experts = {.count = 8, .chosen = 2, .ffn = 100, .in_layer = {}};
  EXPECT_EQ(dense - matmul_parameters(config), 32LL * 4096 * (3 * 11008 - 8 - 3 * 2 * 100));
}

}  // namespace
}  // namespace regroup::family
