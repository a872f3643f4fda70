// OLMoE: a Llama of experts whose queries and keys are normed over all heads. Keys and defaults are those of
// OlmoeConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"OlmoeForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 20> kTensors = {{
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
    {"model.layers.{}.self_attn.q_norm.weight", Part::kQueryNorm, shapes::kQueryWidth, Presence::kAlways},
    {"model.layers.{}.self_attn.k_norm.weight", Part::kKeyNorm, shapes::kKvWidth, Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate.weight", Part::kRouter, shapes::kExpertsByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.experts.{}.gate_proj.weight", Part::kExpertGate, shapes::kExpertByHidden,
     Presence::kAlways},
    {"model.layers.{}.mlp.experts.{}.up_proj.weight", Part::kExpertUp, shapes::kExpertByHidden,
     Presence::kAlways},
    {"model.layers.{}.mlp.experts.{}.down_proj.weight", Part::kExpertDown, shapes::kHiddenByExpert,
     Presence::kAlways},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "olmoe");
  read_shape(config, model, 4096);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-5);
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  model.qk_norm = QkNorm::kRmsOfAll;
  model.qk_norm_by_head = true;
  if (config.has("clip_qkv")) model.clip_qkv = config.positive("clip_qkv");
  model.experts = {.count = config.count_or("num_experts", 64, kMostHeads),
                   .chosen = config.count_or("num_experts_per_tok", 8, kMostHeads),
                   .ffn = config.count_or("intermediate_size", 2048, kMostWidth),
                   .normalized = config.boolean_or("norm_topk_prob", false),
                   .in_layer = {}};
  if (model.experts.chosen > model.experts.count) config.refuse("num_experts_per_tok", "at most num_experts");
  model.ffn = model.experts.ffn;
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "OLMoE-1B-7B",
    R"({"architectures":["OlmoeForCausalLM"],"hidden_size":2048,"intermediate_size":1024,"num_attention_heads":16,"num_hidden_layers":16,"vocab_size":50304})"}};

}  // namespace

extern const Family olmoe;
constexpr Family olmoe = {
    .name = "olmoe",
    .summary = "OLMoE",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
