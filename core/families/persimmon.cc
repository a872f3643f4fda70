// Persimmon: queries, keys and values fused head by head, LayerNorms of single heads, rotary positions on a
// part of them, squared ReLU. Keys and defaults are those of PersimmonConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"PersimmonForCausalLM",
                                                            "RegroupPersimmonForCausalLM"};

constexpr std::array<TensorRule, 21> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.layers.{}.self_attn.query_key_value.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kGroups}},
    {"model.layers.{}.self_attn.query_key_value.bias",
     Part::kQueryBias,
     shapes::kQkvWidth,
     Presence::kWithAttentionBias,
     {.fusion = Fusion::kGroups}},
    {"model.layers.{}.self_attn.q_layernorm.weight", Part::kQueryNorm, shapes::kHeadDim,
     Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.q_layernorm.bias", Part::kQueryNormBias, shapes::kHeadDim,
     Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.k_layernorm.weight", Part::kKeyNorm, shapes::kHeadDim, Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.k_layernorm.bias", Part::kKeyNormBias, shapes::kHeadDim,
     Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.dense.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.self_attn.dense.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.layers.{}.mlp.dense_h_to_4h.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.dense_h_to_4h.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.dense_4h_to_h.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.mlp.dense_4h_to_h.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.final_layernorm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"model.final_layernorm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "persimmon");
  read_shape(config, model, 16384, {.kv_heads = is_own(config) ? "num_key_value_heads" : "", .head_dim = ""});
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "hidden_act", "relu2");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_eps", 1e-5);
  model.rope = read_rope(config, model.head_dim, model.max_positions, {.share = 0.5});
  if (config.boolean_or("qk_layernorm", true)) model.qk_norm = QkNorm::kLayerOfHead;
  model.attention_bias = model.output_bias = model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "PersimmonForCausalLM", "persimmon", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Persimmon-8B",
    R"({"architectures":["PersimmonForCausalLM"],"hidden_size":4096,"intermediate_size":16384,"num_attention_heads":64,"num_hidden_layers":36,"vocab_size":262144})"}};

}  // namespace

extern const Family persimmon;
constexpr Family persimmon = {
    .name = "persimmon",
    .summary = "Persimmon",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
