// GPT-J: halves in parallel behind one LayerNorm, rotary pairs side by side on the first rotary_dim
// coordinates of each head, biases in the feed-forward half and the output layer only. Keys and defaults are
// those of GPTJConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"GPTJForCausalLM", "RegroupGPTJForCausalLM"};

constexpr std::array<TensorRule, 18> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.attn.q_proj.weight",
     Part::kQueryWeight,
     shapes::kQueryByHidden,
     Presence::kAlways,
     {.interleaved = true}},
    {"transformer.h.{}.attn.k_proj.weight",
     Part::kKeyWeight,
     shapes::kKvByHidden,
     Presence::kAlways,
     {.interleaved = true}},
    {"transformer.h.{}.attn.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden, Presence::kAlways},
    {"transformer.h.{}.attn.out_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_in.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_in.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.fc_out.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.fc_out.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
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
  require_model_type(config, "gptj");
  read_shape(config, model, 2048,
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
  model.block = Block::kParallel;
  model.shared_norm = true;
  model.rope.dims = config.count_or("rotary_dim", 64);
  if (model.rope.dims > model.head_dim || model.rope.dims % 2 != 0)
    config.refuse("rotary_dim", fmt::format("an even number up to the width of a head, {}", model.head_dim));
  model.mlp_bias = model.head_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "GPTJForCausalLM", "gptj", kv_heads);
}

constexpr std::array kExamples = {Example{
    "GPT-J-6B",
    R"({"architectures":["GPTJForCausalLM"],"n_embd":4096,"n_head":16,"n_layer":28,"rotary_dim":64,"vocab_size":50400})"}};

}  // namespace

extern const Family gptj;
constexpr Family gptj = {
    .name = "gptj",
    .summary = "GPT-J",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
