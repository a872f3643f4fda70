// CodeGen: halves in parallel behind one LayerNorm, rotary pairs side by side on the first rotary_dim
// coordinates of each head, queries, values and keys fused in the four blocks of the chips it was trained on.
// Keys and defaults are those of CodeGenConfig in HF transformers 5.23. The blocks hold as many keys as
// queries: with fewer, the model moves (core/family/home.h).
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"CodeGenForCausalLM"};

constexpr std::array<TensorRule, 17> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.attn.qkv_proj.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kCodeGen, .interleaved = true}},
    {"transformer.h.{}.attn.out_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_in.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_in.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.fc_out.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_out.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.h.{}.attn.causal_mask", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.h.{}.attn.bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.h.{}.attn.masked_bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.h.{}.attn.embed_positions", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
    {"lm_head.bias", Part::kLmHeadBias, shapes::kVocab, Presence::kWithHeadBias},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "codegen");
  read_shape(config, model, 2048,
             {.hidden = "n_embd",
              .layers = "n_layer",
              .heads = "n_head",
              .kv_heads = "",
              .head_dim = "",
              .positions = "n_positions"});
  if (model.heads % 4 != 0) config.refuse("n_head", "a multiple of 4: projections are stored in four blocks");
  model.ffn = config.count_or("n_inner", 4 * model.hidden, kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.block = Block::kParallel;
  model.shared_norm = true;
  model.rope.dims = config.count_or("rotary_dim", 64);
  if (model.rope.dims > model.head_dim || model.rope.dims % 2 != 0)
    config.refuse("rotary_dim", fmt::format("an even number up to the width of a head, {}", model.head_dim));
  model.mlp_bias = model.head_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

constexpr std::array kExamples = {Example{
    "CodeGen-350M",
    R"({"architectures":["CodeGenForCausalLM"],"n_embd":1024,"n_head":16,"n_layer":20,"rotary_dim":32,"vocab_size":51200})"}};

}  // namespace

extern const Family codegen;
constexpr Family codegen = {
    .name = "codegen",
    .summary = "CodeGen",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = nullptr,
};

}  // namespace regroup::family
