// GPT-Neo: learned positions, scores that are not scaled, every other layer looking back over a window. Keys
// and defaults are those of GPTNeoConfig in HF transformers 5.23.
#include <fmt/format.h>

#include <array>

#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 2> kArchitectures = {"GPTNeoForCausalLM", "RegroupGPTNeoForCausalLM"};

constexpr std::array<TensorRule, 20> kTensors = {{
    {"transformer.wte.weight", Part::kTokenEmbedding, shapes::kVocabByHidden, Presence::kAlways},
    {"transformer.wpe.weight", Part::kPositionEmbedding, shapes::kPositionsByHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.weight", Part::kAttentionNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_1.bias", Part::kAttentionNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.attn.attention.q_proj.weight", Part::kQueryWeight, shapes::kQueryByHidden,
     Presence::kAlways},
    {"transformer.h.{}.attn.attention.k_proj.weight", Part::kKeyWeight, shapes::kKvByHidden,
     Presence::kAlways},
    {"transformer.h.{}.attn.attention.v_proj.weight", Part::kValueWeight, shapes::kKvByHidden,
     Presence::kAlways},
    {"transformer.h.{}.attn.attention.out_proj.weight", Part::kOutputWeight, shapes::kHiddenByQuery,
     Presence::kAlways},
    {"transformer.h.{}.attn.attention.out_proj.bias", Part::kOutputBias, shapes::kHidden,
     Presence::kWithOutputBias},
    {"transformer.h.{}.ln_2.weight", Part::kMlpNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.h.{}.ln_2.bias", Part::kMlpNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"transformer.h.{}.mlp.c_fc.weight", Part::kUpWeight, shapes::kFfnByHidden, Presence::kAlways},
    {"transformer.h.{}.mlp.c_fc.bias", Part::kUpBias, shapes::kFfn, Presence::kWithMlpBias},
    {"transformer.h.{}.mlp.c_proj.weight", Part::kDownWeight, shapes::kHiddenByFfn, Presence::kAlways},
    {"transformer.h.{}.mlp.c_proj.bias", Part::kDownBias, shapes::kHidden, Presence::kWithMlpBias},
    {"transformer.h.{}.attn.attention.bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.h.{}.attn.attention.masked_bias", Part::kUnused, shapes::kAnyShape, Presence::kOptional},
    {"transformer.ln_f.weight", Part::kFinalNorm, shapes::kHidden, Presence::kAlways},
    {"transformer.ln_f.bias", Part::kFinalNormBias, shapes::kHidden, Presence::kWithNormBias},
    {"lm_head.weight", Part::kLmHead, shapes::kVocabByHidden, Presence::kUntied},
}};

// attention_types: [[["global", "local"], 12]] stands for the pair, twelve times.
std::vector<std::int64_t> windows(const Json& json, const ConfigReader& config, std::int64_t layers) {
  const auto refuse = [&] {
    config.refuse("attention_types",
                  fmt::format("kinds (global, local) and their repetitions for {} layers", layers));
  };
  const std::int64_t window = config.count_or("window_size", 256);
  std::vector<std::int64_t> all;
  const Json types = config.has("attention_types")
                         ? json["attention_types"]
                         : Json::array({Json::array({Json::array({"global", "local"}), 12})});
  if (!types.is_array()) refuse();
  for (const Json& type : types) {
    if (!type.is_array() || type.size() != 2 || !type[0].is_array() || !type[1].is_number_integer()) refuse();
    if (type[0].empty()) refuse();  // nothing, however often
    for (std::int64_t i = 0; i < type[1].get<std::int64_t>() && std::ssize(all) <= layers; ++i)
      for (const Json& kind : type[0]) {
        if (kind != "global" && kind != "local") refuse();
        all.push_back(kind == "local" ? window : 0);
      }
  }
  if (std::ssize(all) != layers) refuse();
  return all;
}

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  ModelConfig model;
  require_model_type(config, "gpt_neo");
  read_shape(config, model, 2048,
             {.layers = "num_layers",
              .heads = "num_heads",
              .kv_heads = is_own(config) ? "num_key_value_heads" : "",
              .head_dim = ""});
  model.ffn = config.count_or("intermediate_size", 4 * model.hidden, kMostWidth);
  model.gated_mlp = false;
  model.activation = read_activation(config, "activation_function", "gelu_new");
  model.norm = Norm::kLayer;
  model.norm_bias = true;
  model.norm_epsilon = config.positive_or("layer_norm_epsilon", 1e-5);
  model.positions = Positions::kLearned;
  model.attention_scale = 1;
  model.windows = windows(json, config, model.layers);
  model.output_bias = model.mlp_bias = true;
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", true);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  return as_own(config, "GPTNeoForCausalLM", "gpt_neo", kv_heads);
}

constexpr std::array kExamples = {Example{
    "GPT-Neo-1.3B",
    R"({"architectures":["GPTNeoForCausalLM"],"attention_types":[[["global","local"],12]],"hidden_size":2048,"num_heads":16,"num_layers":24,"vocab_size":50257})"}};

}  // namespace

extern const Family gpt_neo;
constexpr Family gpt_neo = {
    .name = "gpt_neo",
    .summary = "GPT-Neo",
    .examples = kExamples,
    .architectures = kArchitectures,
    .tensors = kTensors,
    .optional_prefix = "transformer.",
    .loaded_by = {},
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
