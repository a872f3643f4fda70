// StableLM-3B-4E1T, StableLM-2 and Stable-Code: Llama with LayerNorm and rotary positions on a part of each
// head; halves in parallel and norms of single heads if asked for. Keys and defaults are those of
// StableLmConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"StableLmForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 21> kTensors = {{
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
    {"model.layers.{}.self_attn.q_layernorm.norms.{}.weight", Part::kQueryNorm, shapes::kHeadDim,
     Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.k_layernorm.norms.{}.weight", Part::kKeyNorm, shapes::kHeadDim,
     Presence::kWithQkNorm},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden,
     Presence::kWithMlpNorm},
    {"model.layers.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithMlpNormBias},
    {"model.layers.{}.mlp.gate_proj.weight", Part::kGateWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"model.norm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "stablelm");
  read_shape(config, model, 4096, {.head_dim = ""});
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.activation = read_activation(config, "hidden_act", "silu");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_eps", 1e-5);
  if (config.boolean_or("use_parallel_residual", false)) {
    model.block = Block::kParallel;
    model.shared_norm = true;
  }
  model.rope = read_rope(config, model.head_dim, model.max_positions, {.share = 0.25});
  if (config.boolean_or("qk_layernorm", false)) {
    model.qk_norm = QkNorm::kLayerOfHead;
    model.qk_norm_by_head = true;
  }
  model.attention_bias = config.boolean_or("use_qkv_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return with_count(config, "num_key_value_heads", kv_heads);
}

constexpr std::array kExamples = {Example{
    "StableLM-3B-4E1T",
    R"({"architectures":["StableLmForCausalLM"],"hidden_size":2560,"intermediate_size":6912,"num_attention_heads":32,"num_hidden_layers":32,"vocab_size":50304})"}};

}  // namespace

extern const Family stablelm;
constexpr Family stablelm = {
    .name = "stablelm",
    .summary = "StableLM-3B-4E1T, StableLM-2, Stable-Code",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
