// Phi-1, Phi-1.5, Phi-2: one LayerNorm for both halves of a layer, which run in parallel; biases everywhere,
// the output layer included; rotary positions on a part of each head. Keys and defaults are those of
// PhiConfig in HF transformers 5.23. (Files that still name the fused Wqkv need code of their own and are
// refused.)
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"PhiForCausalLM"};
constexpr std::array<std::string_view, 2> kLoadedBy = {"HF transformers", "llama.cpp"};

constexpr std::array<TensorRule, 24> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.layers.{}.self_attn.q_proj.weight", Part::kQueryWeight, shapes::kQueryByHidden,
     Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.bias", Part::kQueryBias, shapes::kQueryWidth,
     Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.k_proj.weight", Part::kKeyWeight, shapes::kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.k_proj.bias", Part::kKeyBias, shapes::kKvWidth, Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.v_proj.bias", Part::kValueBias, shapes::kKvWidth,
     Presence::kWithAttentionBias},
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
    {"model.layers.{}.mlp.fc1.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.fc1.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.fc2.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.mlp.fc2.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.final_layernorm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"model.final_layernorm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
    {"lm_head.bias", Part::kLmHeadBias, shapes::kVocab, Presence::kWithHeadBias},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "phi");
  read_shape(config, model, 2048);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "hidden_act", "gelu_new");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_eps", 1e-5);
  model.block = Block::kParallel;
  model.shared_norm = true;
  model.rope = read_rope(config, model.head_dim, model.max_positions, {.share = 0.5});
  if (config.boolean_or("qk_layernorm", false)) model.qk_norm = QkNorm::kLayerOfHead;
  model.attention_bias = model.output_bias = model.mlp_bias = model.head_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Phi-2",
    R"({"architectures":["PhiForCausalLM"],"hidden_size":2560,"intermediate_size":10240,"num_attention_heads":32,"num_hidden_layers":32,"partial_rotary_factor":0.4,"vocab_size":51200})"}};

}  // namespace

extern const Family phi;
constexpr Family phi = {
    .name = "phi",
    .summary = "Phi-1, Phi-1.5, Phi-2",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
