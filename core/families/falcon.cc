// Falcon: one key/value head for all (Falcon-7B), groups (Falcon-40B) or one for each (Falcon-RW), with
// rotary positions or ALiBi, halves in parallel or not. Keys and defaults are those of FalconConfig in HF
// transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"FalconForCausalLM", "RegroupFalconForCausalLM"};
constexpr std::array<std::string_view, 1> kLoadedBy = {"HF transformers"};

constexpr std::array<TensorRule, 21> kTensors = {{
    {"transformer.word_embeddings.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.h.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden,
     Presence::kWithOneNorm},
    {"transformer.h.{}.input_layernorm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithOneNorm},
    {"transformer.h.{}.ln_attn.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kWithTwoNorms},
    {"transformer.h.{}.ln_attn.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithTwoNorms},
    {"transformer.h.{}.ln_mlp.weight", Part::kMlpNorm, shapes::kHidden, Presence::kWithTwoNorms},
    {"transformer.h.{}.ln_mlp.bias", Part::kMlpNormBias, shapes::kHidden, Presence::kWithTwoNorms},
    {"transformer.h.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden,
     Presence::kWithSequence},
    {"transformer.h.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithSequence},
    {"transformer.h.{}.self_attention.query_key_value.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kGroups}},
    {"transformer.h.{}.self_attention.query_key_value.bias",
     Part::kQueryBias,
     shapes::kQkvWidth,
     Presence::kWithAttentionBias,
     {.fusion = Fusion::kGroups}},
    {"transformer.h.{}.self_attention.dense.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"transformer.h.{}.self_attention.dense.bias", Part::kOutputBias, shapes::kHidden,
     Presence::kWithOutputBias},
    {"transformer.h.{}.mlp.dense_h_to_4h.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.dense_h_to_4h.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.dense_4h_to_h.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.dense_4h_to_h.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.h.{}.self_attention.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyShape,
     Presence::kOptional},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

bool is_grouped(const ConfigReader& config) {
  return config.boolean_or("new_decoder_architecture", false);
}

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "falcon");
  read_shape(config, model, 2048,
             {.layers = config.has("n_layer") ? "n_layer" : "num_hidden_layers",
              .heads = config.has("n_head") ? "n_head" : "num_attention_heads",
              .kv_heads = is_own(config) ? "num_key_value_heads" : "",
              .head_dim = ""});
  const bool grouped = is_grouped(config);
  if (!is_own(config)) {
    if (grouped)
      model.kv_heads = config.count_or("num_kv_heads", config.count_or("n_head_kv", model.heads));
    else if (config.boolean_or("multi_query", true))
      model.kv_heads = 1;
    if (model.heads % model.kv_heads != 0) config.refuse("num_kv_heads", "a divisor of num_attention_heads");
  }
  model.ffn = config.count_or("ffn_hidden_size", 4 * model.hidden, kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation", "gelu");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  if (grouped || config.boolean_or("parallel_attn", true)) {
    model.block = Block::kParallel;
    model.shared_norm = !(grouped && config.count_or("num_ln_in_parallel_attn", 2) == 2);
  }
  if (config.boolean_or("alibi", false)) {
    model.positions = Positions::kAlibi;
    model.alibi_slopes = alibi_slopes(model.heads);
    model.alibi_bfloat16 = true;
    model.alibi_scale = model.attention_scale;
  } else {
    model.rope = read_rope(config, model.head_dim, model.max_positions);
  }
  model.attention_bias = model.output_bias = model.mlp_bias = config.boolean_or("bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

// Only the newer architecture has groups; the older ones have one head for all, or one for each.
bool holds(const Json& config, std::int64_t kv_heads) {
  return kv_heads == 1 || is_grouped(ConfigReader(config, "config.json"));
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  if (is_grouped(ConfigReader(config, "config.json"))) return with_count(config, "num_kv_heads", kv_heads);
  if (kv_heads != 1 || is_own(ConfigReader(config, "config.json")))
    return as_own(config, "FalconForCausalLM", "falcon", kv_heads);
  Json changed = config;
  changed["multi_query"] = true;
  return changed;
}

constexpr std::array kExamples = {
    Example{
        "Falcon-RW-1B",
        R"({"architectures":["FalconForCausalLM"],"alibi":true,"bias":true,"hidden_size":2048,"multi_query":false,"num_attention_heads":32,"num_hidden_layers":24,"parallel_attn":false,"vocab_size":50304})"},
    Example{
        "Falcon-7B",
        R"({"architectures":["FalconForCausalLM"],"hidden_size":4544,"num_attention_heads":71,"num_hidden_layers":32,"vocab_size":65024})"}};

}  // namespace

extern const Family falcon;
constexpr Family falcon = {
    .name = "falcon",
    .summary = "Falcon-RW, Falcon-7B, Falcon-40B",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = kLoadedBy,
    .holds = holds,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
