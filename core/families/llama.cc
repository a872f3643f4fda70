// Llama and every model that took its architecture over: RMSNorm, rotary positions (half-split pairs),
// SwiGLU, sequential residuals. Keys and defaults are those of LlamaConfig in HF transformers 5.23
// (models/llama/configuration_llama.py, modeling_rope_utils.py), the older spellings of real files included.
//
// Read but without effect on the arithmetic: pretraining_tp (HF ignores it too) and attention_dropout (0 when
// a model is run).
#include <fmt/format.h>

#include <array>

#include "core/base/error.h"
#include "core/family/config_reader.h"
#include "core/family/family.h"

namespace regroup::family {
namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"LlamaForCausalLM"};
constexpr std::array<std::string_view, 3> kLoadedBy = {"HF transformers", "vLLM", "llama.cpp"};

constexpr std::array kVocabByHidden = {Dim::kVocab, Dim::kHidden};
constexpr std::array kQueryByHidden = {Dim::kQueryWidth, Dim::kHidden};
constexpr std::array kKvByHidden = {Dim::kKvWidth, Dim::kHidden};
constexpr std::array kHiddenByQuery = {Dim::kHidden, Dim::kQueryWidth};
constexpr std::array kFfnByHidden = {Dim::kFfn, Dim::kHidden};
constexpr std::array kHiddenByFfn = {Dim::kHidden, Dim::kFfn};
constexpr std::array kHidden = {Dim::kHidden};
constexpr std::array kQueryWidth = {Dim::kQueryWidth};
constexpr std::array kKvWidth = {Dim::kKvWidth};
constexpr std::array kFfn = {Dim::kFfn};
constexpr std::array kAnyVector = {Dim::kAny};

constexpr std::array<TensorRule, 20> kTensors = {{
    {"model.embed_tokens.weight", Part::kTokenEmbedding, kVocabByHidden, Presence::kAlways},
    {"model.layers.{}.input_layernorm.weight", Part::kAttentionNorm, kHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.weight", Part::kQueryWeight, kQueryByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.q_proj.bias", Part::kQueryBias, kQueryWidth, Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.k_proj.weight", Part::kKeyWeight, kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.k_proj.bias", Part::kKeyBias, kKvWidth, Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.v_proj.weight", Part::kValueWeight, kKvByHidden, Presence::kAlways},
    {"model.layers.{}.self_attn.v_proj.bias", Part::kValueBias, kKvWidth, Presence::kWithAttentionBias},
    {"model.layers.{}.self_attn.o_proj.weight", Part::kOutputWeight, kHiddenByQuery, Presence::kAlways},
    {"model.layers.{}.self_attn.o_proj.bias", Part::kOutputBias, kHidden, Presence::kWithAttentionBias},
    {"model.layers.{}.post_attention_layernorm.weight", Part::kMlpNorm, kHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_proj.weight", Part::kGateWeight, kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.gate_proj.bias", Part::kGateBias, kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.up_proj.weight", Part::kUpWeight, kFfnByHidden, Presence::kAlways},
    {"model.layers.{}.mlp.up_proj.bias", Part::kUpBias, kFfn, Presence::kWithMlpBias},
    {"model.layers.{}.mlp.down_proj.weight", Part::kDownWeight, kHiddenByFfn, Presence::kAlways},
    {"model.layers.{}.mlp.down_proj.bias", Part::kDownBias, kHidden, Presence::kWithMlpBias},
    {"model.layers.{}.self_attn.rotary_emb.inv_freq", Part::kUnused, kAnyVector, Presence::kOptional},
    {"model.norm.weight", Part::kFinalNorm, kHidden, Presence::kAlways},
    {"lm_head.weight", Part::kLmHead, kVocabByHidden, Presence::kUntied},
}};

// The rotary embedding, from `rope_scaling` (older files; it wins) or `rope_parameters`; rope_theta may stand
// in them or beside them.
Rope read_rope(const ConfigReader& config, std::int64_t max_positions) {
  const ConfigReader older = config.object("rope_scaling"), newer = config.object("rope_parameters");
  const ConfigReader& rope_keys = older.empty() ? newer : older;
  Rope rope;
  rope.theta = rope_keys.positive_or("rope_theta", config.positive_or("rope_theta", rope.theta));
  for (const ConfigReader* keys : {&config, &rope_keys})
    if (keys->positive_or("partial_rotary_factor", 1) != 1)
      keys->refuse("partial_rotary_factor", "1: the Llama family turns whole heads");

  const std::string_view type_key = rope_keys.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope_keys.text_or(type_key, "default");
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = rope_keys.positive("factor");
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.factor = rope_keys.positive("factor");
    rope.low_freq_factor = rope_keys.positive("low_freq_factor");
    rope.high_freq_factor = rope_keys.positive("high_freq_factor");
    if (rope.high_freq_factor <= rope.low_freq_factor)
      rope_keys.refuse("high_freq_factor", "a number above low_freq_factor");
    constexpr std::string_view kOriginal = "original_max_position_embeddings";
    rope.original_positions = config.count_or(kOriginal, rope_keys.count_or(kOriginal, max_positions));
  } else if (type != "default") {
    rope_keys.refuse(type_key, "one of default, linear, llama3: other position scalings are not supported");
  }
  return rope;
}

void require_consistent(const ModelConfig& model, const ConfigReader& config) {
  if (model.head_dim % 2 != 0)
    config.refuse("head_dim", "an even number: rotary positions turn pairs",
                  fmt::format("The heads would be {} wide", model.head_dim));
  if (model.heads % model.kv_heads != 0)
    config.refuse("num_key_value_heads", fmt::format("a divisor of num_attention_heads {}", model.heads));
}

ModelConfig read_config(const Json& json, const std::string& where) {
  const ConfigReader config(json, where);
  if (config.text_or("model_type", "llama") != "llama")
    config.refuse("model_type", "\"llama\", as 'architectures' says");
  if (config.text_or("hidden_act", "silu") != "silu")
    config.refuse("hidden_act", "\"silu\": other activations are not supported in the Llama family");
  constexpr std::int64_t kMostLayers =
      10'000;  // a lying file must not cost us the memory of its layers' names
  ModelConfig model;
  model.vocab_size = config.count("vocab_size");
  model.hidden = config.count("hidden_size");
  model.ffn = config.count("intermediate_size");
  model.layers = config.count("num_hidden_layers", kMostLayers);
  model.heads = config.count("num_attention_heads");
  model.kv_heads = config.count_or("num_key_value_heads", model.heads);
  if (!config.has("head_dim") && model.hidden % model.heads != 0)
    config.refuse("hidden_size", fmt::format("a multiple of num_attention_heads {}", model.heads));
  model.head_dim = config.count_or("head_dim", model.hidden / model.heads);
  model.max_positions = config.count_or("max_position_embeddings", 2048);
  model.norm_epsilon = config.positive_or("rms_norm_eps", 1e-6);
  model.rope = read_rope(config, model.max_positions);
  model.attention_bias = config.boolean_or("attention_bias", false);
  model.mlp_bias = config.boolean_or("mlp_bias", false);
  model.tied_embeddings = config.boolean_or("tie_word_embeddings", false);
  model.initializer_range = config.positive_or("initializer_range", 0.02);
  require_consistent(model, config);
  return model;
}

Json with_kv_heads(const Json& config, std::int64_t kv_heads) {
  constexpr const char* kKey = "num_key_value_heads";
  Json changed = Json::object();
  for (const auto& [key, value] : config.items()) {
    changed[key] = key == kKey ? Json(kv_heads) : value;
    if (key == "num_attention_heads" && !config.contains(kKey)) changed[kKey] = kv_heads;
  }
  return changed;
}

}  // namespace

extern const Family llama;
constexpr Family llama = {
    .name = "llama",
    .summary = "Llama-1/2/3, CodeLlama, Vicuna, OpenLLaMA, SmolLM2, DeepSeek-LLM",
    .architectures = kArchitectures,
    .tensors = kTensors,
    .loaded_by = kLoadedBy,
    .read_config = read_config,
    .with_kv_heads = with_kv_heads,
};

}  // namespace regroup::family
