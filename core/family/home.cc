#include "core/family/home.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "core/base/error.h"

namespace regroup::family {
namespace {

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return "silu";
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_new";
    case Activation::kRelu:
      return "relu";
    case Activation::kReluSquared:
      return "relu2";
  }
  check(false, "an Activation without a name");
  return {};
}

// What none of the homes below has.
std::string common_obstacle(const ModelConfig& config) {
  if (config.norm != Norm::kLayer) return "norms are RMSNorms";
  if (config.gated_mlp || config.experts.count > 0)
    return "the feed-forward half is gated or made of experts";
  if (config.qk_norm != QkNorm::kNone) return "queries and keys are normed";
  if (config.clip_qkv > 0) return "queries, keys and values are clipped";
  if (config.positions == Positions::kAlibi) return "positions are ALiBi's";
  if (!config.windows.empty()) return "attention looks back over windows";
  if (config.embedding_norm || config.embedding_scale != 1) return "embeddings are normed or scaled";
  if (config.logit_scale != 1) return "logits are scaled";
  return {};
}

std::string rotary_obstacle(const ModelConfig& config) {
  if (config.positions != Positions::kRotary) return "positions are learned";
  if (config.rope.scaling != RopeScaling::kNone) return "rotary positions are scaled";
  const double usual = 1 / std::sqrt(static_cast<double>(config.head_dim));
  if (config.attention_scale != usual || config.attention_scale_by_layer)
    return "scores are scaled unusually";
  return {};
}

// The smallest share of a head that is cut down to `dims` coordinates.
double share_of_head(const ModelConfig& config) {
  const auto width = static_cast<double>(config.head_dim);
  double share = static_cast<double>(config.rope.dims) / width;
  while (static_cast<std::int64_t>(width * share) < config.rope.dims) share = std::nextafter(share, 2.);
  return share;
}

// What every config.json has, and what a source's says beside its arithmetic.
Json config_of(const Json& source, std::string_view architecture, std::string_view model_type) {
  Json config = {{"architectures", {architecture}}, {"model_type", model_type}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype",
                          "initializer_range", "use_cache"})
    if (source.contains(key)) config[key] = source[key];
  return config;
}

void add_rotary_shape(const ModelConfig& model, std::int64_t kv_heads, Json& config) {
  config["vocab_size"] = model.vocab_size;
  config["hidden_size"] = model.hidden;
  config["intermediate_size"] = model.ffn;
  config["num_hidden_layers"] = model.layers;
  config["num_attention_heads"] = model.heads;
  config["num_key_value_heads"] = kv_heads;
  config["max_position_embeddings"] = model.max_positions;
  config["tie_word_embeddings"] = model.tied_embeddings;
  config["rope_theta"] = model.rope.theta;
}

std::string phi_obstacle(const ModelConfig& config, std::int64_t) {
  if (const std::string common = common_obstacle(config); !common.empty()) return common;
  if (const std::string rotary = rotary_obstacle(config); !rotary.empty()) return rotary;
  if (config.block != Block::kParallel) return "the halves of a layer follow each other";
  return {};
}

Json phi_config(const Json& source, const ModelConfig& model, std::int64_t kv_heads) {
  Json config = config_of(source, "PhiForCausalLM", "phi");
  add_rotary_shape(model, kv_heads, config);
  config["hidden_act"] = activation_name(model.activation);
  config["layer_norm_eps"] = model.norm_epsilon;
  config["partial_rotary_factor"] = share_of_head(model);
  config["rope_parameters"] = {{"rope_type", "default"},
                               {"rope_theta", model.rope.theta},
                               {"partial_rotary_factor", share_of_head(model)}};
  config["qk_layernorm"] = false;
  return config;
}

std::string starcoder2_obstacle(const ModelConfig& config, std::int64_t) {
  if (const std::string common = common_obstacle(config); !common.empty()) return common;
  if (const std::string rotary = rotary_obstacle(config); !rotary.empty()) return rotary;
  if (config.block != Block::kSequential) return "the halves of a layer run in parallel";
  if (config.rope.dims != config.head_dim) return "positions turn a part of each head only";
  if (config.head_bias) return "the output layer has a bias";
  return {};
}

Json starcoder2_config(const Json& source, const ModelConfig& model, std::int64_t kv_heads) {
  Json config = config_of(source, "Starcoder2ForCausalLM", "starcoder2");
  add_rotary_shape(model, kv_heads, config);
  config["hidden_act"] = activation_name(model.activation);
  config["norm_epsilon"] = model.norm_epsilon;
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", model.rope.theta}};
  config["use_bias"] = true;
  config["sliding_window"] = nullptr;
  return config;
}

std::string gpt_bigcode_obstacle(const ModelConfig& config, std::int64_t kv_heads) {
  if (const std::string common = common_obstacle(config); !common.empty()) return common;
  if (config.positions != Positions::kLearned) return "positions are not learned";
  if (config.block != Block::kSequential) return "the halves of a layer run in parallel";
  if (config.attention_scale_by_layer) return "scores are scaled by layer";
  if (config.head_bias) return "the output layer has a bias";
  if (kv_heads != 1) return "it has one key/value head";
  return {};
}

Json gpt_bigcode_config(const Json& source, const ModelConfig& model, std::int64_t) {
  Json config = config_of(source, "GPTBigCodeForCausalLM", "gpt_bigcode");
  config["vocab_size"] = model.vocab_size;
  config["n_embd"] = model.hidden;
  config["n_inner"] = model.ffn;
  config["n_layer"] = model.layers;
  config["n_head"] = model.heads;
  config["n_positions"] = model.max_positions;
  config["activation_function"] = activation_name(model.activation);
  config["layer_norm_epsilon"] = model.norm_epsilon;
  config["scale_attn_weights"] = model.attention_scale != 1;
  config["multi_query"] = true;
  config["tie_word_embeddings"] = model.tied_embeddings;
  return config;
}

constexpr std::array kHomes = {
    Home{"phi", phi_obstacle, phi_config},
    Home{"starcoder2", starcoder2_obstacle, starcoder2_config},
    Home{"gpt_bigcode", gpt_bigcode_obstacle, gpt_bigcode_config},
};

}  // namespace

std::span<const Home> homes() {
  return kHomes;
}

}  // namespace regroup::family
