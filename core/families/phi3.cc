// Phi-3 and Phi-3.5: Llama with fused projections and long-context rotary scaling. Keys and defaults are
// those of Phi3Config in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"Phi3ForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 10> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.qkv_proj.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kQueryKeyValue}},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_up_proj.weight",
     Part::kGateWeight,
     shapes::kTwoFfnByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kGateUp}},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "phi3");
  read_shape(config, model, 4096);
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-5);
  model.rope = read_rope(config, model.head_dim, model.max_positions, {.share = 1});
  if (config.has("sliding_window")) model.windows = read_windows(config, model, 0);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "Phi-3-mini-4k",
    R"({"architectures":["Phi3ForCausalLM"],"hidden_size":3072,"intermediate_size":8192,"num_attention_heads":32,"num_hidden_layers":32,"sliding_window":2047,"vocab_size":32064})"}};

}  // namespace

extern const Family phi3;
constexpr Family phi3 = {
    .name = "phi3",
    .summary = "Phi-3-mini, Phi-3.5-mini",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
