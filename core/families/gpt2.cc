// GPT-2, DialoGPT and Cerebras-GPT: learned positions, weights stored [in, out], queries, keys and values
// side by side. Keys and defaults are those of GPT2Config in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"GPT2LMHeadModel", "RegroupGPT2LMHeadModel"};

constexpr std::array<TensorRule, 19> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.wpe.weight", Part::kPositionEmbedding, shapes::kPositionsByHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.attn.c_attn.weight",
     Part::kQueryWeight,
     shapes::kHiddenByQkv,
     Presence::kAlways,
     {.fusion = Fusion::kQueryKeyValue, .transposed = true}},
    {"transformer.h.{}.attn.c_attn.bias",
     Part::kQueryBias,
     shapes::kQkvWidth,
     Presence::kWithAttentionBias,
     {.fusion = Fusion::kQueryKeyValue}},
    {"transformer.h.{}.attn.c_proj.weight",
     Part::kOutputWeight,
     shapes::kQueryByHidden,
     Presence::kAlways,
     {.transposed = true}},
    {"transformer.h.{}.attn.c_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"transformer.h.{}.ln_2.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_2.bias", Part::kMlpNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.mlp.c_fc.weight",
     Part::kUpWeight,
     shapes::kHiddenByFfn,
     Presence::kAlways,
     {.transposed = true}},
    {"transformer.h.{}.mlp.c_fc.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.c_proj.weight",
     Part::kDownWeight,
     shapes::kFfnByHidden,
     Presence::kAlways,
     {.transposed = true}},
    {"transformer.h.{}.mlp.c_proj.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.h.{}.attn.bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.h.{}.attn.masked_bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "gpt2");
  read_shape(config, model, 1024,
             {.hidden = "n_embd",
              .layers = "n_layer",
              .heads = "n_head",
              .kv_heads = is_own(config) ? "num_key_value_heads" : "",
              .head_dim = "",
              .positions = "n_positions"});
  model.ffn = config.count_or("n_inner", 4 * model.hidden, kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.positions = Positions::kLearned;
  if (!config.boolean_or("scale_attn_weights", true)) model.attention_scale = 1;
  model.attention_scale_by_layer = config.boolean_or("scale_attn_by_inverse_layer_idx", false);
  if (config.boolean_or("add_cross_attention", false))
    config.refuse("add_cross_attention", "false: a decoder alone is converted");
  model.attention_bias = model.output_bias = model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "GPT2LMHeadModel", "gpt2", kv_heads);
}

constexpr std::array kExamples = {Example{
    "GPT-2",
    R"({"architectures":["GPT2LMHeadModel"],"n_embd":768,"n_head":12,"n_layer":12,"vocab_size":50257})"}};

}  // namespace

extern const Family gpt2;
constexpr Family gpt2 = {
    .name = "gpt2",
    .summary = "GPT-2, DialoGPT, Cerebras-GPT",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
