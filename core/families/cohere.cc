// Command-R: halves in parallel behind one LayerNorm without bias, rotary pairs side by side, scaled logits.
// Keys and defaults are those of CohereConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"CohereForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 18> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.weight",
     Part::kQueryWeight,
     shapes::kQueryByHidden,
     Presence::kAlways,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.q_proj.bias",
     Part::kQueryBias,
     shapes::kQueryWidth,
     Presence::kWithAttentionBias,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.k_proj.weight",
     Part::kKeyWeight,
     shapes::kKvByHidden,
     Presence::kAlways,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.k_proj.bias",
     Part::kKeyBias,
     shapes::kKvWidth,
     Presence::kWithAttentionBias,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.v_proj.bias", Part::kValueBias, shapes::kKvWidth,
     Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.q_norm.weight",
     Part::kQueryNorm,
     shapes::kHeadsByDim,
     Presence::kWithQkNorm,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.k_norm.weight",
     Part::kKeyNorm,
     shapes::kKvHeadsByDim,
     Presence::kWithQkNorm,
     {.interleaved = true}},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
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
  require_model_type(config, "cohere");
  read_shape(config, model, 8192);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm = Norm::kLayer;
  model.norm_epsilon = config.positive_or("layer_norm_eps", 1e-5);
  model.block = Block::kParallel;
  model.shared_norm = true;
  model.rope = read_rope(config, model.head_dim, model.max_positions, {.theta = 500000});
  if (config.boolean_or("use_qk_norm", false)) {
    model.qk_norm = QkNorm::kLayerOfHead;
    model.qk_norm_by_head = true;
  }
  model.logit_scale = config.positive_or("logit_scale", 0.0625);
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Command-R v01",
    R"({"architectures":["CohereForCausalLM"],"hidden_size":8192,"intermediate_size":22528,"num_attention_heads":64,"num_hidden_layers":40,"vocab_size":256000})"}};

}  // namespace

extern const Family cohere;
constexpr Family cohere = {
    .name = "cohere",
    .summary = "Command-R",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
