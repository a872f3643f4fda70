// BLOOM: ALiBi, a norm behind the embeddings, queries, keys and values fused head by head. Keys and defaults
// are those of BloomConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"BloomForCausalLM", "RegroupBloomForCausalLM"};

constexpr std::array<TensorRule, 18> kTensors = {{
    {"transformer.word_embeddings.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.word_embeddings_layernorm.weight", Part::kEmbeddingNorm, shapes::kHidden,
     Presence::kAlways},
    {"transformer.word_embeddings_layernorm.bias", Part::kEmbeddingNormBias, shapes::kHidden,
     Presence::kAlways},
    {"transformer.h.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.input_layernorm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithNormBias},
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
    {"transformer.h.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"transformer.h.{}.mlp.dense_h_to_4h.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.dense_h_to_4h.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.dense_4h_to_h.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.dense_4h_to_h.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "bloom");
  const bool old_keys = config.has("n_embed") && !config.has("hidden_size");
  read_shape(config, model, 2048,
             {.hidden = old_keys ? "n_embed" : "hidden_size",
              .layers = config.has("n_layer") ? "n_layer" : "num_hidden_layers",
              .heads = config.has("n_head") ? "n_head" : "num_attention_heads",
              .kv_heads = is_own(config) ? "num_key_value_heads" : "",
              .head_dim = "",
              .positions = "seq_length"});
  if (config.boolean_or("apply_residual_connection_post_layernorm", false))
    config.refuse("apply_residual_connection_post_layernorm", "false: no BLOOM model has it");
  model.ffn = 4 * model.hidden;
  model.gated_mlp = false;
  model.activation = Activation::kGeluTanh;
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.embedding_norm = true;
  model.positions = Positions::kAlibi;
  model.alibi_slopes = alibi_slopes(model.heads);
  model.attention_bias = model.output_bias = model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "BloomForCausalLM", "bloom", kv_heads);
}

constexpr std::array kExamples = {Example{
    "BLOOM-560m",
    R"({"architectures":["BloomForCausalLM"],"hidden_size":1024,"n_head":16,"n_layer":24,"vocab_size":250880})"}};

}  // namespace

extern const Family bloom;
constexpr Family bloom = {
    .name = "bloom",
    .summary = "BLOOM, BLOOMZ",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
