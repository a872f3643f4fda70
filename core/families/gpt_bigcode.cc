// GPTBigCode (SantaCoder, StarCoder): GPT-2 with one key/value head for all, or one for each. Keys and
// defaults are those of GPTBigCodeConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"GPTBigCodeForCausalLM",
                                                            "RegroupGPTBigCodeForCausalLM"};
constexpr std::array<std::string_view, 2> kLoadedBy = {"HF transformers", "vLLM"};

constexpr std::array<TensorRule, 18> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.wpe.weight", Part::kPositionEmbedding, shapes::kPositionsByHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.attn.c_attn.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kGroups}},
    {"transformer.h.{}.attn.c_attn.bias",
     Part::kQueryBias,
     shapes::kQkvWidth,
     Presence::kWithAttentionBias,
     {.fusion = Fusion::kGroups}},
    {"transformer.h.{}.attn.c_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery, Presence::kAlways},
    {"transformer.h.{}.attn.c_proj.bias", Part::kOutputBias, shapes::kHidden, Presence::kWithOutputBias},
    {"transformer.h.{}.ln_2.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_2.bias", Part::kMlpNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.mlp.c_fc.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.c_fc.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.c_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.c_proj.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.h.{}.attn.bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "gpt_bigcode");
  read_shape(config, model, 1024,
             {.hidden = "n_embd",
              .layers = "n_layer",
              .heads = "n_head",
              .kv_heads = is_own(config) ? "num_key_value_heads" : "",
              .head_dim = "",
              .positions = "n_positions"});
  if (!is_own(config) && config.boolean_or("multi_query", true)) model.kv_heads = 1;
  model.ffn = config.count_or("n_inner", 4 * model.hidden, kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation_function", "gelu_pytorch_tanh");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.positions = Positions::kLearned;
  if (!config.boolean_or("scale_attn_weights", true)) model.attention_scale = 1;
  model.attention_bias = model.output_bias = model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

bool holds(const Json&, std::int64_t kv_heads) {
  return kv_heads == 1;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  if (kv_heads != 1 || is_own(ConfigReader(config, "config.json")))
    return as_own(config, "GPTBigCodeForCausalLM", "gpt_bigcode", kv_heads);
  Json changed = config;
  changed["multi_query"] = true;
  return changed;
}

constexpr std::array kExamples = {Example{
    "StarCoderBase-1B",
    R"({"architectures":["GPTBigCodeForCausalLM"],"n_embd":2048,"n_head":16,"n_layer":24,"n_positions":8192,"vocab_size":49152})"}};

}  // namespace

extern const Family gpt_bigcode;
constexpr Family gpt_bigcode = {
    .name = "gpt_bigcode",
    .summary = "GPTBigCode, StarCoder",
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
