// StarCoder2: LayerNorm, a plain feed-forward half, biases everywhere or nowhere, sliding windows if asked
// for. Keys and defaults are those of Starcoder2Config in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"Starcoder2ForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 20> kTensors = {{
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
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.layers.{}.mlp.c_fc.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.c_fc.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.c_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.mlp.c_proj.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"model.norm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "starcoder2");
  read_shape(config, model, 4096);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "hidden_act", "gelu_pytorch_tanh");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("norm_epsilon", 1e-5);
  model.rope = read_rope(config, model.head_dim, model.max_positions);
  if (config.has("sliding_window")) model.windows = read_windows(config, model, 0);
  model.attention_bias = model.output_bias = model.mlp_bias = config.boolean_or("use_bias", true);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "StarCoder2-3B",
    R"({"architectures":["Starcoder2ForCausalLM"],"hidden_size":3072,"intermediate_size":12288,"num_attention_heads":24,"num_hidden_layers":30,"num_key_value_heads":2,"vocab_size":49152})"}};

}  // namespace

extern const Family starcoder2;
constexpr Family starcoder2 = {
    .name = "starcoder2",
    .summary = "StarCoder2",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
