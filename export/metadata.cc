#include <cmath>
#include <filesystem>
#include <string>
#include <utility>

#include "export/architecture.h"
#include "export/graph_check.h"

namespace regroup::exporting {
namespace {

using family::Positions;
using family::RopeScaling;

// Keys of one architecture, prefixed with its name.
class Keys {
 public:
  Keys(gguf::Metadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  void count(std::string_view key, std::int64_t value) { add(key, static_cast<std::uint32_t>(value)); }
  void number(std::string_view key, double value) { add(key, static_cast<float>(value)); }
  void add(std::string_view key, gguf::Value value) {
    metadata_.emplace_back(prefix_ + std::string(key), std::move(value));
  }

 private:
  gguf::Metadata& metadata_;
  std::string prefix_;
};

// llama.cpp multiplies what YaRN makes of the factor, 1 + ln(factor)/10, by attn_factor.
void add_yarn(const family::Rope& rope, Keys& keys) {
  keys.add("rope.scaling.type", "yarn");
  keys.number("rope.scaling.factor", rope.factor);
  keys.count("rope.scaling.original_context_length", rope.original_positions);
  keys.number("rope.scaling.attn_factor", rope.attention_factor / (1 + 0.1 * std::log(rope.factor)));
  keys.number("rope.scaling.yarn_beta_fast", rope.beta_fast);
  keys.number("rope.scaling.yarn_beta_slow", rope.beta_slow);
}

// llama3's and longrope's frequencies are tensors (tensors.cc): llama.cpp has no keys for them.
void add_rope(const family::Rope& rope, Keys& keys) {
  keys.count("rope.dimension_count", rope.dims);
  keys.number("rope.freq_base", rope.theta);
  switch (rope.scaling) {
    case RopeScaling::kLinear:
      keys.add("rope.scaling.type", "linear");
      keys.number("rope.scaling.factor", rope.factor);
      break;
    case RopeScaling::kYarn:
      add_yarn(rope, keys);
      break;
    case RopeScaling::kLongRope:
      keys.count("rope.scaling.original_context_length", rope.original_positions);
      keys.number("rope.scaling.attn_factor", rope.attention_factor);
      break;
    case RopeScaling::kNone:
    case RopeScaling::kLlama3:
    case RopeScaling::kDynamic:
      break;
  }
}

void add_attention(const ModelConfig& config, Keys& keys) {
  keys.count("attention.head_count", config.heads);
  keys.count("attention.head_count_kv", config.kv_heads);
  keys.count("attention.key_length", config.head_dim);
  keys.count("attention.value_length", config.head_dim);
  keys.number(
      config.norm == family::Norm::kRms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
      config.norm_epsilon);
  if (config.clip_qkv > 0) keys.number("attention.clamp_kqv", config.clip_qkv);
  if (config.positions == Positions::kAlibi) keys.number("attention.max_alibi_bias", alibi_exponent(config));
}

std::string name_of(const std::filesystem::path& directory) {
  return std::filesystem::weakly_canonical(directory).filename().string();
}

}  // namespace

gguf::Metadata model_metadata(const Architecture& architecture, const family::ModelDirectory& model) {
  const ModelConfig& config = model.config;
  gguf::Metadata metadata = {{"general.architecture", std::string(architecture.name)},
                             {"general.type", "model"},
                             {"general.name", name_of(model.path)}};
  Keys keys(metadata, architecture.name);
  keys.count("block_count", config.layers);
  keys.count("context_length", config.max_positions);
  keys.count("embedding_length", config.hidden);
  keys.count("feed_forward_length", config.ffn);
  keys.count("vocab_size", config.vocab_size);
  add_attention(config, keys);
  if (config.positions == Positions::kRotary) add_rope(config.rope, keys);
  constexpr unsigned kParallel = blocks::kParallel | blocks::kParallelSharedNorm;
  if ((architecture.blocks & blocks::kSequential) != 0 && (architecture.blocks & kParallel) != 0)
    keys.add("use_parallel_residual", config.block == family::Block::kParallel);
  if (architecture.scales_logits) keys.number("logit_scale", config.logit_scale);
  return metadata;
}

}  // namespace regroup::exporting
