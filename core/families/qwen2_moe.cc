// Qwen1.5-MoE and Qwen2-MoE: Qwen2 whose feed-forward half is made of experts, in all layers or some. Keys
// and defaults are those of Qwen2MoeConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"Qwen2MoeForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 24> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.weight", Part::kQueryWeight, shapes::kQueryByHidden,
     Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.bias", Part::kQueryBias, shapes::kQueryWidth,
     Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.k_proj.weight", Part::kKeyWeight, shapes::kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.k_proj.bias", Part::kKeyBias, shapes::kKvWidth, Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.v_proj.bias", Part::kValueBias, shapes::kKvWidth,
     Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_proj.weight", Part::kGateWeight, shapes::kFfnByHidden,
     Presence::kWithoutExperts},
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kWithoutExperts},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn,
     Presence::kWithoutExperts},
    {"model.layers.{}.mlp.gate.weight", Part::kRouter, shapes::kExpertsByHidden, Presence::kWithExperts},
    {"model.layers.{}.mlp.experts.{}.gate_proj.weight", Part::kExpertGate, shapes::kExpertByHidden,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.experts.{}.up_proj.weight", Part::kExpertUp, shapes::kExpertByHidden,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.experts.{}.down_proj.weight", Part::kExpertDown, shapes::kHiddenByExpert,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.shared_expert_gate.weight", Part::kSharedRouter, shapes::kOneByHidden,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.shared_expert.gate_proj.weight", Part::kSharedGate, shapes::kSharedByHidden,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.shared_expert.up_proj.weight", Part::kSharedUp, shapes::kSharedByHidden,
     Presence::kWithExperts},
    {"model.layers.{}.mlp.shared_expert.down_proj.weight", Part::kSharedDown, shapes::kHiddenByShared,
     Presence::kWithExperts},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

std::vector<bool> layers_with_experts(const ConfigReader& config, std::int64_t layers) {
  const std::int64_t step = config.count_or("decoder_sparse_step", 1);
  const std::vector<std::int64_t> without = config.numbers("mlp_only_layers");
  std::vector<bool> with;
  for (std::int64_t layer = 0; layer < layers; ++layer)
    with.push_back((layer + 1) % step == 0 && std::ranges::find(without, layer) == without.end());
  return with;
}

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "qwen2_moe");
  read_shape(config, model, 32768);
  model.ffn = config.count_or("intermediate_size", 5632, kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-6);
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  if (config.boolean_or("use_sliding_window", false))
    model.windows = read_windows(config, model, config.count_or("max_window_layers", 28));
  model.experts = {.count = config.count_or("num_experts", 60, kMostHeads),
                   .chosen = config.count_or("num_experts_per_tok", 4, kMostHeads),
                   .ffn = config.count_or("moe_intermediate_size", 1408, kMostWidth),
                   .shared_ffn = config.count_or("shared_expert_intermediate_size", 5632, kMostWidth),
                   .normalized = config.boolean_or("norm_topk_prob", false),
                   .in_layer = layers_with_experts(config, model.layers)};
  if (model.experts.chosen > model.experts.count) config.refuse("num_experts_per_tok", "at most num_experts");
  model.attention_bias = config.boolean_or("qkv_bias", true);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Qwen1.5-MoE-A2.7B",
    R"({"architectures":["Qwen2MoeForCausalLM"],"hidden_size":2048,"max_position_embeddings":8192,"num_attention_heads":16,"num_hidden_layers":24,"vocab_size":151936})"}};

}  // namespace

extern const Family qwen2_moe;
constexpr Family qwen2_moe = {
    .name = "qwen2_moe",
    .summary = "Qwen1.5-MoE, Qwen2-MoE",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
