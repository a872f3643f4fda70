#include "core/family/model_config.h"

#include <cmath>
#include <numbers>

namespace regroup::family {
namespace {

// Llama 3.1's rule: wavelengths above original_positions / low_freq_factor are stretched by `factor`, those
// below original_positions / high_freq_factor are kept, and in between the two are blended linearly in the
// number of turns that original_positions hold.
template <typename Real>
Real llama3_frequency(Real frequency, const Rope& rope) {
  const auto original = static_cast<Real>(rope.original_positions), factor = static_cast<Real>(rope.factor);
  const auto low = static_cast<Real>(rope.low_freq_factor), high = static_cast<Real>(rope.high_freq_factor);
  const Real wavelength = static_cast<Real>(2 * std::numbers::pi) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const Real kept = (original / wavelength - low) / (high - low);
  return (1 - kept) * frequency / factor + kept * frequency;
}

template <typename Real>
std::vector<Real> frequencies_in(const ModelConfig& config) {
  std::vector<Real> frequencies;
  for (std::int64_t j = 0; j < config.head_dim / 2; ++j) {
    const Real exponent = static_cast<Real>(2 * j) / static_cast<Real>(config.head_dim);
    // The power in double and rounded once: what a good float32 pow gives on every machine.
    const Real power = static_cast<Real>(
        std::pow(static_cast<double>(static_cast<Real>(config.rope.theta)), static_cast<double>(exponent)));
    const Real frequency = 1 / power;
    switch (config.rope.scaling) {
      case RopeScaling::kNone:
        frequencies.push_back(frequency);
        break;
      case RopeScaling::kLinear:
        frequencies.push_back(frequency / static_cast<Real>(config.rope.factor));
        break;
      case RopeScaling::kLlama3:
        frequencies.push_back(llama3_frequency(frequency, config.rope));
        break;
    }
  }
  return frequencies;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& config) {
  return frequencies_in<double>(config);
}

std::vector<float> rope_frequencies_float32(const ModelConfig& config) {
  return frequencies_in<float>(config);
}

std::int64_t matmul_parameters(const ModelConfig& config) {
  const std::int64_t attention = 2 * config.hidden * (config.query_width() + config.kv_width());
  const std::int64_t mlp = 3 * config.hidden * config.ffn;
  return config.layers * (attention + mlp) + config.vocab_size * config.hidden;
}

double training_flops_per_token(const ModelConfig& config, std::int64_t sequence_length) {
  const double attention = static_cast<double>(config.layers) * static_cast<double>(sequence_length) *
                           static_cast<double>(config.query_width());
  return 6 * static_cast<double>(matmul_parameters(config)) + 6 * attention;
}

std::int64_t kv_bytes_per_token(const ModelConfig& config, std::int64_t element_bytes) {
  return 2 * config.layers * config.kv_width() * element_bytes;
}

std::vector<std::int64_t> reachable_kv_heads(const ModelConfig& config) {
  std::vector<std::int64_t> divisors;
  for (std::int64_t candidate = config.kv_heads; candidate >= 1; --candidate)
    if (config.kv_heads % candidate == 0) divisors.push_back(candidate);
  return divisors;
}

}  // namespace regroup::family
