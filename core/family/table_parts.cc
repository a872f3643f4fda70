#include "core/family/table_parts.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace regroup::family {

void require_model_type(const ConfigReader& config, std::string_view expected) {
  const std::string type = config.text_or("model_type", expected);
  const bool own = is_own(config) && type == std::string(kOwnTypePrefix) + std::string(expected);
  if (type != expected && !own)
    config.refuse("model_type", fmt::format("\"{}\", as 'architectures' says", expected));
}

Activation read_activation(const ConfigReader& config, std::string_view key, std::string_view fallback) {
  constexpr std::array<std::pair<std::string_view, Activation>, 9> kNames = {{
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kReluSquared},
  }};
  const std::string name = config.text_or(key, fallback);
  std::string known;
  for (const auto& [known_name, activation] : kNames) {
    if (name == known_name) return activation;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", known_name);
  }
  config.refuse(key, "one of " + known);
}

void read_shape(const ConfigReader& config, ModelConfig& model, std::int64_t positions,
                const ShapeKeys& keys) {
  model.vocab_size = config.count("vocab_size");
  model.hidden = config.count(keys.hidden, kMostWidth);
  model.layers = config.count(keys.layers, kMostLayers);
  model.heads = config.count(keys.heads, kMostHeads);
  model.kv_heads = keys.kv_heads.empty() ? model.heads : config.count_or(keys.kv_heads, model.heads);
  if (model.heads % model.kv_heads != 0)
    config.refuse(keys.kv_heads, fmt::format("a divisor of {} {}", keys.heads, model.heads));
  const bool has_head_dim = !keys.head_dim.empty() && config.has(keys.head_dim);
  if (!has_head_dim && model.hidden % model.heads != 0)
    config.refuse(keys.hidden, fmt::format("a multiple of {} {}", keys.heads, model.heads));
  model.head_dim =
      has_head_dim ? config.count(keys.head_dim, kMostWidth / model.heads) : model.hidden / model.heads;
  model.max_positions = config.count_or(keys.positions, positions);
  model.attention_scale = 1 / std::sqrt(static_cast<double>(model.head_dim));
  model.initializer_range = config.positive_or("initializer_range", 0.02);
}

Json with_count(const Json& config, std::string_view key, std::int64_t kv_heads, std::string_view after) {
  const std::string name(key);
  Json changed = Json::object();
  for (const auto& [old, value] : config.items()) {
    changed[old] = old == key ? Json(kv_heads) : value;
    if (old == after && !config.contains(name)) changed[name] = kv_heads;
  }
  changed[name] = kv_heads;
  return changed;
}

bool is_own(const ConfigReader& config) {
  return config.first_text("architectures").starts_with(kOwnPrefix);
}

Json as_own(const Json& config, std::string_view architecture, std::string_view model_type,
            std::int64_t kv_heads) {
  Json changed = config;
  changed["architectures"] = {fmt::format("{}{}", kOwnPrefix, architecture)};
  changed["model_type"] = fmt::format("{}{}", kOwnTypePrefix, model_type);
  changed["num_key_value_heads"] = kv_heads;
  return changed;
}

std::vector<std::int64_t> read_windows(const ConfigReader& config, const ModelConfig& model,
                                       std::int64_t first_layer) {
  const std::int64_t window = config.count("sliding_window");
  const std::vector<std::string> types = config.texts("layer_types");
  if (!types.empty() && static_cast<std::int64_t>(types.size()) != model.layers)
    config.refuse("layer_types", fmt::format("one for each of {} layers", model.layers));
  std::vector<std::int64_t> windows;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    const bool slides =
        types.empty() ? layer >= first_layer : types[static_cast<std::size_t>(layer)] == "sliding_attention";
    windows.push_back(slides ? window : 0);
  }
  return windows;
}

}  // namespace regroup::family
