// OLMo-1: LayerNorm without numbers of its own, and queries, keys and values that may be clipped. Keys and
// defaults are those of OlmoConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"OlmoForCausalLM"};
constexpr std::array<std::string_view, 2> kLoadedBy = {"HF transformers", "llama.cpp"};

constexpr std::array<TensorRule, 14> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
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
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"model.layers.{}.mlp.gate_proj.weight", Part::kGateWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "olmo");
  read_shape(config, model, 2048);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm = Norm::kLayer;
  model.norm_weight = false;
  model.norm_epsilon = 1e-5;
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  if (config.has("clip_qkv")) model.clip_qkv = config.positive("clip_qkv");
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "OLMo-1B",
    R"({"architectures":["OlmoForCausalLM"],"hidden_size":2048,"intermediate_size":8192,"num_attention_heads":16,"num_hidden_layers":16,"vocab_size":50304})"}};

}  // namespace

extern const Family olmo;
constexpr Family olmo = {
    .name = "olmo",
    .summary = "OLMo-1",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
