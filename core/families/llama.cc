// Llama and every model that took its architecture over: RMSNorm, rotary positions (half-split pairs),
// SwiGLU, sequential residuals. Keys and defaults are those of LlamaConfig in HF transformers 5.23
// (models/llama/configuration_llama.py, modeling_rope_utils.py), the older spellings of real files included.
//
// Read but without effect on the arithmetic: pretraining_tp (HF ignores it too) and attention_dropout (0 when
// a model is run).
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"LlamaForCausalLM"};
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
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_proj.weight", Part::kGateWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_proj.bias", Part::kGateBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.up_proj.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.mlp.down_proj.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  require_model_type(config, "llama");
  if (config.text_or("hidden_act", "silu") != "silu")
    config.refuse("hidden_act", "\"silu\": other activations are not supported in the Llama family");
  ModelConfig model;
  read_shape(config, model, 2048);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-6);
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", false);
  model.mlp_bias = config.boolean_or("mlp_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Llama-2-7B",
    R"({"architectures":["LlamaForCausalLM"],"hidden_size":4096,"intermediate_size":11008,"max_position_embeddings":4096,"num_attention_heads":32,"num_hidden_layers":32,"vocab_size":32000})"}};

}  // namespace

extern const Family llama;
constexpr Family llama = {
    .name = "llama",
    .summary = "Llama-1/2/3, CodeLlama, Vicuna, OpenLLaMA, SmolLM2, DeepSeek-LLM",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
