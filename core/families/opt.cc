// OPT and Galactica: learned positions that begin at the third row, ReLU. Keys and defaults are those of
// OPTConfig in HF transformers 5.23. OPT-350m norms after its halves and projects its embeddings: refused.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"OPTForCausalLM", "RegroupOPTForCausalLM"};

constexpr std::array<TensorRule, 21> kTensors = {{
    {"model.decoder.embed_tokens.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"model.decoder.embed_positions.weight", Part::kPositionEmbedding, shapes::kPositionsByHidden,
     Presence::kAlways},
    {"model.decoder.layers.{}.self_attn_layer_norm.weight", Part::kAttentionNorm, shapes::kHidden,
     Presence::kWithNormWeight},
    {"model.decoder.layers.{}.self_attn_layer_norm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.decoder.layers.{}.self_attn.q_proj.weight", Part::kQueryWeight, shapes::kQueryByHidden,
     Presence::kAlways},
    {"model.decoder.layers.{}.self_attn.q_proj.bias", Part::kQueryBias, shapes::kQueryWidth,
     Presence::kWithAttentionBias},
    {"model.decoder.layers.{}.self_attn.k_proj.weight", Part::kKeyWeight, shapes::kKvByHidden,
     Presence::kAlways},
    {"model.decoder.layers.{}.self_attn.k_proj.bias", Part::kKeyBias, shapes::kKvWidth,
     Presence::kWithAttentionBias},
    {"model.decoder.layers.{}.self_attn.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden,
     Presence::kAlways},
    {"model.decoder.layers.{}.self_attn.v_proj.bias", Part::kValueBias, shapes::kKvWidth,
     Presence::kWithAttentionBias},
    {"model.decoder.layers.{}.self_attn.out_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"model.decoder.layers.{}.self_attn.out_proj.bias", Part::kOutputBias, shapes::kHidden,
     Presence::kWithOutputBias},
    {"model.decoder.layers.{}.final_layer_norm.weight", Part::kMlpNorm, shapes::kHidden,
     Presence::kWithNormWeight},
    {"model.decoder.layers.{}.final_layer_norm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"model.decoder.layers.{}.fc1.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"model.decoder.layers.{}.fc1.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"model.decoder.layers.{}.fc2.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"model.decoder.layers.{}.fc2.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"model.decoder.final_layer_norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kWithNormWeight},
    {"model.decoder.final_layer_norm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "opt");
  read_shape(config, model, 2048, {.kv_heads = is_own(config) ? "num_key_value_heads" : "", .head_dim = ""});
  if (!config.boolean_or("do_layer_norm_before", true) ||
      config.boolean_or("_remove_final_layer_norm", false))
    config.refuse("do_layer_norm_before", "true: OPT-350m, which norms after its halves, is not supported");
  if (config.count_or("word_embed_proj_dim", model.hidden) != model.hidden)
    config.refuse(
        "word_embed_proj_dim",
        fmt::format("hidden_size {}: projected embeddings (OPT-350m) are not supported", model.hidden));
  model.ffn = config.count("ffn_dim", kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation_function", "relu");
  model.norm = Norm::kLayer;
  model.norm_weight = model.norm_bias = config.boolean_or("layer_norm_elementwise_affine", true);
  model.norm_epsilon = 1e-5;
  model.positions = Positions::kLearned;
  model.position_offset = 2;
  model.attention_bias = model.output_bias = model.mlp_bias = config.boolean_or("enable_bias", true);
  model.initializer_range = config.positive_or("init_std", 0.02);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "OPTForCausalLM", "opt", kv_heads);
}

constexpr std::array kExamples = {Example{
    "OPT-1.3B",
    R"({"architectures":["OPTForCausalLM"],"ffn_dim":8192,"hidden_size":2048,"num_attention_heads":32,"num_hidden_layers":24,"vocab_size":50272})"}};

}  // namespace

extern const Family opt;
constexpr Family opt = {
    .name = "opt",
    .summary = "OPT, Galactica",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "model.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
