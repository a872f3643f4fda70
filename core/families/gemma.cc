// Gemma-1: Llama with wide heads, GeGLU, norms that store their weight minus one, and scaled embeddings. Keys
// and defaults are those of GemmaConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"GemmaForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 17> kTensors = {{
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
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "gemma");
  read_shape(config, model, 8192);
  if (!config.has("head_dim")) {
    model.head_dim = 256;
    model.attention_scale = 1.0 / 16;
  }
  model.ffn = config.count("intermediate_size", kMostWidth);
  // Files from before 2024-04 say "gelu" and mean the tanh form that they were trained with, as HF reads it;
  // some say what they mean in a key of its own.
  const bool has_own_key = config.has("hidden_activation");
  model.activation =
      read_activation(config, has_own_key ? "hidden_activation" : "hidden_act", "gelu_pytorch_tanh");
  if (model.activation == Activation::kGelu && !has_own_key) model.activation = Activation::kGeluTanh;
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-6);
  model.norm_plus_one = true;
  model.embedding_scale = std::sqrt(static_cast<double>(model.hidden));
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  if (config.boolean_or("use_bidirectional_attention", false))
    config.refuse("use_bidirectional_attention", "false: a decoder does not look ahead");
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Gemma-7B",
    R"({"architectures":["GemmaForCausalLM"],"head_dim":256,"hidden_size":3072,"intermediate_size":24576,"num_attention_heads":16,"num_hidden_layers":28,"vocab_size":256000})"}};

}  // namespace

extern const Family gemma;
constexpr Family gemma = {
    .name = "gemma",
    .summary = "Gemma-1, CodeGemma",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
