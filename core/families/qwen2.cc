// Qwen1.5 and Qwen2: Llama with biases on queries, keys and values, and sliding windows in upper layers if
// asked for. Keys and defaults are those of Qwen2Config in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"Qwen2ForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 16> kTensors = {{
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
  require_model_type(config, "qwen2");
  read_shape(config, model, 32768);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-6);
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  if (config.boolean_or("use_sliding_window", false))
    model.windows = read_windows(config, model, config.count_or("max_window_layers", 28));
  model.attention_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Qwen1.5-7B",
    R"({"architectures":["Qwen2ForCausalLM"],"hidden_size":4096,"intermediate_size":11008,"max_position_embeddings":32768,"num_attention_heads":32,"num_hidden_layers":32,"vocab_size":151936})"}};

}  // namespace

extern const Family qwen2;
constexpr Family qwen2 = {
    .name = "qwen2",
    .summary = "Qwen1.5, Qwen2",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
