#include "tests/support/random_model.h"

#include <cmath>

#include "core/base/random.h"

namespace regroup::testing {

family::ModelConfig small_config(std::int64_t kv_heads) {
  family::ModelConfig config;
  config.vocab_size = 48;
  config.hidden = 32;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = kv_heads;
  config.head_dim = 8;
  config.ffn = 48;
  config.max_positions = 64;
  config.norm_epsilon = 1e-6;
  config.rope.dims = 8;
  config.attention_scale = 1 / std::sqrt(8.);
  return config;
}

model::Weights random_weights(const family::ModelConfig& config, std::uint64_t seed, at::ScalarType type) {
  const family::Family& llama =
      family::family_for(Json{{"architectures", {"LlamaForCausalLM"}}}, "random_weights");
  model::Weights weights;
  for (const auto& tensor : family::expected_tensors(llama, config)) {
    if (!tensor.required) continue;
    RandomStream stream(seed, tensor.name);
    at::Tensor values = at::empty(tensor.shape, at::kDouble);
    const bool is_norm = tensor.name.find("norm.weight") != std::string::npos;
    double* data = values.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = is_norm + 0.2 * stream.normal();
    weights[{tensor.part, tensor.layer}] = values.to(type);
  }
  return weights;
}

at::Tensor random_tokens(const family::ModelConfig& config, std::int64_t batch, std::int64_t count,
                         std::uint64_t seed) {
  RandomStream stream(seed, "tokens");
  at::Tensor tokens = at::empty({batch, count}, at::kLong);
  std::int64_t* data = tokens.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i)
    data[i] = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(config.vocab_size)));
  return tokens;
}

}  // namespace regroup::testing
