// GPT-NeoX and Pythia: two LayerNorms in front of two halves, in parallel or not; rotary positions on a part
// of each head; queries, keys and values fused head by head. Keys and defaults are those of GPTNeoXConfig in
// HF transformers 5.23, the older rotary_pct and rotary_emb_base included.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"GPTNeoXForCausalLM",
                                                            "RegroupGPTNeoXForCausalLM"};

constexpr std::array<TensorRule, 19> kTensors = {{
    {"gpt_neox.embed_in.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"gpt_neox.layers.{}.input_layernorm.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"gpt_neox.layers.{}.input_layernorm.bias", Part::kAttentionNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"gpt_neox.layers.{}.attention.query_key_value.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kGroups}},
    {"gpt_neox.layers.{}.attention.query_key_value.bias",
     Part::kQueryBias,
     shapes::kQkvWidth,
     Presence::kWithAttentionBias,
     {.fusion = Fusion::kGroups}},
    {"gpt_neox.layers.{}.attention.dense.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"gpt_neox.layers.{}.attention.dense.bias", Part::kOutputBias, shapes::kHidden,
     Presence::kWithOutputBias},
    {"gpt_neox.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, shapes::kHidden,
     Presence::kAlways},
    {"gpt_neox.layers.{}.post_attention_layernorm.bias", Part::kMlpNormBias, shapes::kHidden,
     Presence::kWithNormBias},
    {"gpt_neox.layers.{}.mlp.dense_h_to_4h.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"gpt_neox.layers.{}.mlp.dense_h_to_4h.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"gpt_neox.layers.{}.mlp.dense_4h_to_h.weight", Part::kDownWeight, shapes::kHiddenByFfn,
     Presence::kAlways},
    {"gpt_neox.layers.{}.mlp.dense_4h_to_h.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"gpt_neox.layers.{}.attention.bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"gpt_neox.layers.{}.attention.masked_bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"gpt_neox.layers.{}.attention.rotary_emb.inv_freq", Part::kUnused, shapes::kAnyShape,
     Presence::kOptional},
    {"gpt_neox.final_layer_norm.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"gpt_neox.final_layer_norm.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"embed_out.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "gpt_neox");
  read_shape(config, model, 2048, {.kv_heads = is_own(config) ? "num_key_value_heads" : "", .head_dim = ""});
  model.ffn = config.count("intermediate_size", kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "hidden_act", "gelu");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_eps", 1e-5);
  model.block = config.boolean_or("use_parallel_residual", true) ? Block::kParallel : Block::kSequential;
  model.rope = read_rope(config, model.head_dim, model.max_positions,
                         {.theta = config.positive_or("rotary_emb_base", 10000),
                          .share = config.positive_or("rotary_pct", 0.25)});
  model.attention_bias = model.output_bias = config.boolean_or("attention_bias", true);
  model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "GPTNeoXForCausalLM", "gpt_neox", kv_heads);
}

constexpr std::array kExamples = {
    Example{
        "Pythia-1.4B",
        R"({"architectures":["GPTNeoXForCausalLM"],"hidden_size":2048,"intermediate_size":8192,"num_attention_heads":16,"num_hidden_layers":24,"rotary_pct":0.25,"vocab_size":50304})"},
    Example{
        "RedPajama-INCITE-3B",
        R"({"architectures":["GPTNeoXForCausalLM"],"hidden_size":2560,"intermediate_size":10240,"num_attention_heads":32,"num_hidden_layers":32,"rotary_pct":1.0,"use_parallel_residual":false,"vocab_size":50432})"}};

}  // namespace

extern const Family gpt_neox;
constexpr Family gpt_neox = {
    .name = "gpt_neox",
    .summary = "GPT-NeoX, Pythia, Dolly-v2, StableLM-Alpha",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "gpt_neox.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
