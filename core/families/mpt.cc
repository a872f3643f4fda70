// MPT: ALiBi, no biases, queries, keys and values side by side, clipped if asked for. Keys and defaults are
// those of MptConfig in HF transformers 5.23; fewer key/value heads stand in attn_config.kv_n_heads, where
// vLLM and llama.cpp's converter read them. HF ignores that key, and refuses the file for its shapes.
// llm-foundry wants "grouped_query_attention" as attn_type besides, which HF's MptConfig, and vLLM that reads
// files by it, refuses: attn_type is left at, or put back to, what those know.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"MptForCausalLM", "MPTForCausalLM"};
constexpr std::array<std::string_view, 2> kLoadedBy = {"vLLM", "llama.cpp"};

constexpr std::array<TensorRule, 9> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.blocks.{}.norm_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.blocks.{}.attn.Wqkv.weight",
     Part::kQueryWeight,
     shapes::kQkvByHidden,
     Presence::kAlways,
     {.fusion = Fusion::kQueryKeyValue}},
    {"transformer.blocks.{}.attn.out_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"transformer.blocks.{}.norm_2.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.blocks.{}.ffn.up_proj.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.blocks.{}.ffn.down_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn,
     Presence::kAlways},
    {"transformer.norm_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "mpt");
  read_shape(config, model, 2048,
             {.hidden = "d_model",
              .layers = "n_layers",
              .heads = "n_heads",
              .kv_heads = "",
              .head_dim = "",
              .positions = "max_seq_len"});
  const ConfigReader attention = config.object("attn_config");
  model.kv_heads = attention.count_or("kv_n_heads", model.heads);
  if (model.heads % model.kv_heads != 0)
    attention.refuse("kv_n_heads", fmt::format("a divisor of n_heads {}", model.heads));
  if (!attention.boolean_or("alibi", true))
    attention.refuse("alibi", "true: HF's MPT knows no other positions");
  if (attention.positive_or("alibi_bias_max", 8) != 8)
    attention.refuse("alibi_bias_max", "8: engines disagree on any other");
  if (attention.boolean_or("qk_ln", false)) attention.refuse("qk_ln", "false: HF's MPT has no such norm");
  if (attention.boolean_or("prefix_lm", false)) attention.refuse("prefix_lm", "false");
  if (!config.boolean_or("no_bias", true)) config.refuse("no_bias", "true: HF's MPT has no biases");
  if (config.has("logit_scale")) config.refuse("logit_scale", "null: HF's MPT does not scale logits");
  model.ffn = config.count_or("expansion_ratio", 4, kMostWidth / model.hidden) * model.hidden;
  model.gated_mlp = false;
  model.activation = Activation::kGelu;
  model.norm = Norm::kLayer;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.positions = Positions::kAlibi;
  model.alibi_slopes = alibi_slopes(model.heads);
  if (attention.has("clip_qkv")) model.clip_qkv = attention.positive("clip_qkv");
  if (attention.has("softmax_scale")) model.attention_scale = attention.positive("softmax_scale");
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  Json changed = config;
  Json& attention = changed["attn_config"];
  attention["kv_n_heads"] = kv_heads;
  if (attention.contains("attn_type")) attention["attn_type"] = "multihead_attention";
  return changed;
}

constexpr std::array kExamples = {Example{
    "MPT-7B",
    R"({"architectures":["MPTForCausalLM"],"d_model":4096,"n_heads":32,"n_layers":32,"vocab_size":50432})"}};

}  // namespace

extern const Family mpt;
constexpr Family mpt = {
    .name = "mpt",
    .summary = "MPT",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
