// What a config.json may claim: every number of every golden's, made very large. Reading ends at once, in a
// UserError or in a model whose lists are short and whose products fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/family/config_reader.h"
#include "core/family/family.h"
#include "tests/support/expect_error.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;
using Key = Json::json_pointer;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/families";

// Where the whole numbers of a configuration stand, those in its lists too.
void add_numbers(const Json& value, const Key& at, std::vector<Key>& keys) {
  if (value.is_number_integer()) keys.push_back(at);
  if (value.is_object())
    for (const auto& [name, inner] : value.items()) add_numbers(inner, at / name, keys);
  if (value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i) add_numbers(value[i], at / i, keys);
}

// An mlp that a file is silent about is 4 · hidden wide.
void expect_bounded(const ModelConfig& config, const std::string& what) {
  constexpr std::int64_t kMostTold = 4 * kMostWidth;
  EXPECT_LE(config.layers, kMostLayers) << what;
  for (const std::int64_t count :
       {config.heads, config.kv_heads, config.experts.count, config.experts.chosen})
    EXPECT_LE(count, kMostHeads) << what;
  for (const std::int64_t width :
       {config.hidden, config.query_width(), config.ffn, config.experts.ffn, config.experts.shared_ffn})
    EXPECT_LE(width, kMostTold) << what;
  for (const std::int64_t count : {config.vocab_size, config.max_positions, config.rope.original_positions})
    EXPECT_LE(count, kMostCount) << what;
  EXPECT_LE(config.windows.size(), static_cast<std::size_t>(kMostLayers)) << what;
}

std::vector<std::string> accepted_claims(const Family& family, const Json& json, std::int64_t claim) {
  std::vector<Key> keys;
  add_numbers(json, Key(), keys);
  std::vector<std::string> accepted;
  for (const Key& key : keys) {
    Json changed = json;
    changed[key] = claim;
    try {
      expect_bounded(family.read_config(changed, "test"), std::string(family.name) + " " + key.to_string());
      accepted.push_back(key.to_string());
    } catch (const UserError&) {
    }
  }
  return accepted;
}

TEST(ConfigBounds, HoldWhateverANumberClaims) {
  std::size_t read = 0;
  for (const auto& entry : fs::directory_iterator(kGoldens)) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const Json json = read_json(entry.path() / "config.json");
    const Family& family = family_for(json, "test");
    for (const std::int64_t claim : {kMostHeads, kMostWidth, kMostCount, std::int64_t{1'000'000'000'000},
                                     std::int64_t{1} << 40, std::int64_t{1} << 62}) {
      accepted_claims(family, json, claim);
      ++read;
    }
  }
  EXPECT_GT(read, 500u);
}

// The largest of everything at once: what is computed of it fits in 64 bits.
TEST(ConfigBounds, KeepProductsInSixtyFourBits) {
  ModelConfig config;
  config.vocab_size = config.max_positions = kMostCount;
  config.layers = kMostLayers;
  config.heads = config.kv_heads = kMostHeads;
  config.head_dim = kMostWidth / kMostHeads;
  config.hidden = config.ffn = kMostWidth;
  config.experts = {.count = kMostHeads, .chosen = kMostHeads, .ffn = kMostWidth, .shared_ffn = kMostWidth};
  config.experts.in_layer.assign(kMostLayers, true);
  const double attention = 4.0 * static_cast<double>(kMostWidth) * static_cast<double>(kMostWidth),
               experts = 3.0 * static_cast<double>(kMostWidth) * static_cast<double>(kMostWidth) *
                         static_cast<double>(kMostHeads + 1),
               output = static_cast<double>(kMostCount) * static_cast<double>(kMostWidth);
  EXPECT_NEAR(static_cast<double>(matmul_parameters(config)) /
                  (output + static_cast<double>(kMostLayers) * (attention + experts)),
              1, 1e-6);
  EXPECT_EQ(kv_bytes_per_token(config, 8), 2 * kMostLayers * kMostWidth * 8);
}

// Repetitions of nothing make no layers, and would be counted for ever.
TEST(ConfigBounds, HoldForRepetitionsOfNothing) {
  Json json = read_json(kGoldens / "gpt_neo-plain" / "config.json");
  json["attention_types"] = Json::parse(R"([[[], 1000000000000000000]])");
  EXPECT_THROW(family_named("gpt_neo").read_config(json, "test"), UserError);
}

// Positions are computed in float32, and so are the factors on their cosines and sines.
void expect_finite_positions(const ModelConfig& config, const std::string& what) {
  for (const std::int64_t length : {std::int64_t{1}, config.max_positions, kMostCount})
    for (const float frequency : rope_frequencies_float32(config, length))
      EXPECT_TRUE(std::isfinite(frequency)) << what << ", " << length << " tokens";
  const auto factor = static_cast<float>(config.rope.attention_factor);
  EXPECT_TRUE(std::isfinite(factor) && factor > 0) << what;
}

TEST(ConfigBounds, KeepRotaryPositionsFinite) {
  const Key rope = Key() / "rope_parameters";
  std::size_t read = 0;
  for (const auto& entry : fs::directory_iterator(kGoldens)) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const Json json = read_json(entry.path() / "config.json");
    if (!json.contains(rope)) continue;
    std::vector<Key> keys = {Key() / "max_position_embeddings", Key() / "original_max_position_embeddings"};
    for (const auto& [name, value] : json[rope].items())
      if (value.is_number()) keys.push_back(rope / name);
    for (const Key& key : keys)
      for (const Json& claim : {Json(1e-320), Json(1e-3), Json(1), Json(2), Json(1e6), Json(1e308)}) {
        Json changed = json;
        changed[key] = claim;
        try {
          expect_finite_positions(family_for(json, "test").read_config(changed, "test"),
                                  entry.path().filename().string() + key.to_string() + " " + claim.dump());
          ++read;
        } catch (const UserError&) {
        }
      }
  }
  EXPECT_GT(read, 300u);
}

TEST(ConfigBounds, RefuseScalingsByTheKeyThatMakesNone) {
  const auto refusal = [](const char* golden, const char* key, const Json& value) {
    Json json = read_json(kGoldens / golden / "config.json");
    json[Key(key)] = value;
    return testing::user_error_of([&] { family_for(json, "test").read_config(json, "test"); });
  };
  const char* original = "/original_max_position_embeddings";
  EXPECT_CONTAINS(refusal("phi3-longrope_long", original, 1),
                  "'original_max_position_embeddings': expected a number above 1: attention is scaled by its "
                  "logarithm, found 1");
  EXPECT_CONTAINS(refusal("llama-yarn", "/rope_parameters/rope_theta", 1),
                  "'rope_parameters.rope_theta': expected a number above 1, found 1");
  EXPECT_CONTAINS(
      refusal("llama-yarn", "/rope_parameters/beta_fast", 1e-320),
      "'rope_parameters.rope_type': expected a scaling whose frequencies are finite, found \"yarn\"");
  EXPECT_CONTAINS(refusal("llama-yarn_untruncated", "/rope_parameters/mscale", -30),
                  "'rope_parameters.mscale': expected a number from 0 on, found -30");
  EXPECT_CONTAINS(refusal("llama-yarn_attention_factor", "/rope_parameters/attention_factor", 1e300),
                  "'rope_parameters.attention_factor': expected a number above 0 that float32 holds");
  EXPECT_CONTAINS(refusal("llama-dynamic", "/rope_parameters/factor", 0.001),
                  "'rope_parameters.factor': expected a number from 1 on, found 0.001");
}

}  // namespace
}  // namespace regroup::family
