// What the tables of core/families share: shapes, and the keys of a config.json that most of them have.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/family/config_reader.h"
#include "core/family/family.h"
#include "core/family/rope_config.h"

namespace regroup::family {

namespace shapes {
inline constexpr std::array kVocabByHidden = {Dim::kVocab, Dim::kHidden};
inline constexpr std::array kPositionsByHidden = {Dim::kPositions, Dim::kHidden};
inline constexpr std::array kQueryByHidden = {Dim::kQueryWidth, Dim::kHidden};
inline constexpr std::array kKvByHidden = {Dim::kKvWidth, Dim::kHidden};
inline constexpr std::array kQkvByHidden = {Dim::kQkvWidth, Dim::kHidden};
inline constexpr std::array kHiddenByQkv = {Dim::kHidden, Dim::kQkvWidth};
inline constexpr std::array kHiddenByQuery = {Dim::kHidden, Dim::kQueryWidth};
inline constexpr std::array kFfnByHidden = {Dim::kFfn, Dim::kHidden};
inline constexpr std::array kTwoFfnByHidden = {Dim::kTwoFfn, Dim::kHidden};
inline constexpr std::array kHiddenByFfn = {Dim::kHidden, Dim::kFfn};
inline constexpr std::array kExpertsByHidden = {Dim::kExperts, Dim::kHidden};
inline constexpr std::array kExpertByHidden = {Dim::kExpertFfn, Dim::kHidden};
inline constexpr std::array kHiddenByExpert = {Dim::kHidden, Dim::kExpertFfn};
inline constexpr std::array kSharedByHidden = {Dim::kSharedFfn, Dim::kHidden};
inline constexpr std::array kHiddenByShared = {Dim::kHidden, Dim::kSharedFfn};
inline constexpr std::array kOneByHidden = {Dim::kOne, Dim::kHidden};
inline constexpr std::array kHeadsByDim = {Dim::kHeads, Dim::kHeadDim};
inline constexpr std::array kKvHeadsByDim = {Dim::kKvHeads, Dim::kHeadDim};
inline constexpr std::array kVocab = {Dim::kVocab};
inline constexpr std::array kHidden = {Dim::kHidden};
inline constexpr std::array kQueryWidth = {Dim::kQueryWidth};
inline constexpr std::array kKvWidth = {Dim::kKvWidth};
inline constexpr std::array kQkvWidth = {Dim::kQkvWidth};
inline constexpr std::array kHeadDim = {Dim::kHeadDim};
inline constexpr std::array kFfn = {Dim::kFfn};
inline constexpr std::array kAnyVector = {Dim::kAny};
inline constexpr std::array<Dim, 0> kAnyShape = {};
}  // namespace shapes

// `model_type`, where it is there, must be `expected`.
void require_model_type(const ConfigReader& config, std::string_view expected);

// The activation under `key`, in HF's names.
Activation read_activation(const ConfigReader& config, std::string_view key, std::string_view fallback);

// Names of the keys for what every decoder has; families differ.
struct ShapeKeys {
  std::string_view hidden = "hidden_size", layers = "num_hidden_layers", heads = "num_attention_heads";
  std::string_view kv_heads = "num_key_value_heads";  // empty: as many as heads
  std::string_view head_dim = "head_dim";             // empty: hidden / heads
  std::string_view positions = "max_position_embeddings";
};

// Vocabulary, hidden size, layers, heads, head width, positions and the usual scale of scores, checked
// against each other. `positions`: where config.json is silent.
void read_shape(const ConfigReader& config, ModelConfig& model, std::int64_t positions,
                const ShapeKeys& keys = {});

// config.json with `kv_heads` under `key`: in its place, or behind `after` where it is new.
Json with_count(const Json& config, std::string_view key, std::int64_t kv_heads,
                std::string_view after = "num_attention_heads");

// Families that no engine loads with fewer key/value heads than heads keep their tensors' names and get a
// name of their own, so that engines refuse them instead of misreading them. The number of key/value heads
// stands in num_key_value_heads then, and only then: HF ignores that key in these families.
inline constexpr std::string_view kOwnPrefix = "Regroup", kOwnTypePrefix = "regroup_";
// A model that has such a name keeps it whatever number it gets.
bool is_own(const ConfigReader& config);
Json as_own(const Json& config, std::string_view architecture, std::string_view model_type,
            std::int64_t kv_heads);

// The layers in which sliding windows apply, as Qwen2 and Phi-3 say it: `layer_types`, or all.
std::vector<std::int64_t> read_windows(const ConfigReader& config, const ModelConfig& model,
                                       std::int64_t first_layer);

}  // namespace regroup::family
