#include "core/family/model_config.h"

#include <algorithm>
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

// The pair whose wavelength goes `turns` times into `positions` (YaRN, Peng et al. 2023, section 3.2).
double pair_of_turns(double turns, const Rope& rope) {
  return static_cast<double>(rope.dims) *
         std::log(static_cast<double>(rope.original_positions) / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

// YaRN: slow pairs are stretched by `factor`, fast ones kept, those between blended linearly in their number.
template <typename Real>
Real yarn_frequency(Real frequency, std::int64_t pair, const Rope& rope) {
  double low = pair_of_turns(rope.beta_fast, rope), high = pair_of_turns(rope.beta_slow, rope);
  if (rope.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.);
  high = std::min(high, static_cast<double>(rope.dims - 1));
  if (low == high) high += 0.001;
  const Real ramp =
      std::clamp((static_cast<Real>(pair) - static_cast<Real>(low)) / static_cast<Real>(high - low),
                 static_cast<Real>(0), static_cast<Real>(1));
  const Real kept = 1 - ramp;
  return 1 / (static_cast<Real>(rope.factor) * (1 / frequency)) * (1 - kept) + frequency * kept;
}

// Theta for texts longer than the model's positions (kDynamic).
double stretched_theta(const Rope& rope, std::int64_t length) {
  const double positions = static_cast<double>(rope.original_positions),
               seen = std::max(static_cast<double>(length), positions), dims = static_cast<double>(rope.dims);
  return rope.theta * std::pow(rope.factor * seen / positions - (rope.factor - 1), dims / (dims - 2));
}

template <typename Real>
std::vector<Real> frequencies_in(const Rope& rope, std::int64_t length) {
  const double theta = rope.scaling == RopeScaling::kDynamic ? stretched_theta(rope, length) : rope.theta;
  std::vector<Real> frequencies;
  for (std::int64_t j = 0; j < rope.dims / 2; ++j) {
    const Real exponent = static_cast<Real>(2 * j) / static_cast<Real>(rope.dims);
    // The power in double and rounded once: what a good float32 pow gives on every machine.
    const Real power = static_cast<Real>(
        std::pow(static_cast<double>(static_cast<Real>(theta)), static_cast<double>(exponent)));
    const Real frequency = 1 / power;
    switch (rope.scaling) {
      case RopeScaling::kNone:
      case RopeScaling::kDynamic:
        frequencies.push_back(frequency);
        break;
      case RopeScaling::kLinear:
        frequencies.push_back(frequency / static_cast<Real>(rope.factor));
        break;
      case RopeScaling::kLlama3:
        frequencies.push_back(llama3_frequency(frequency, rope));
        break;
      case RopeScaling::kYarn:
        frequencies.push_back(yarn_frequency(frequency, j, rope));
        break;
      case RopeScaling::kLongRope: {
        const auto& factors = length > rope.original_positions ? rope.long_factors : rope.short_factors;
        frequencies.push_back(1 / (static_cast<Real>(factors[static_cast<std::size_t>(j)]) * power));
        break;
      }
    }
  }
  return frequencies;
}

}  // namespace

std::vector<double> rope_frequencies(const ModelConfig& config, std::int64_t length) {
  return frequencies_in<double>(config.rope, length);
}

std::vector<float> rope_frequencies_float32(const ModelConfig& config, std::int64_t length) {
  return frequencies_in<float>(config.rope, length);
}

std::vector<double> alibi_slopes(std::int64_t heads) {
  constexpr double kMost = 8;
  std::int64_t power = 1;
  while (power * 2 <= heads) power *= 2;
  std::vector<double> slopes;
  for (std::int64_t i = 1; i <= power; ++i)
    slopes.push_back(std::exp2(-kMost * static_cast<double>(i) / static_cast<double>(power)));
  // The rest lie between: every other one of twice as many heads.
  for (std::int64_t i = 1; static_cast<std::int64_t>(slopes.size()) < heads; i += 2)
    slopes.push_back(std::exp2(-kMost * static_cast<double>(i) / static_cast<double>(2 * power)));
  return slopes;
}

std::int64_t matmul_parameters(const ModelConfig& config) {
  const std::int64_t matrices = config.gated_mlp ? 3 : 2,
                     attention = 2 * config.hidden * (config.query_width() + config.kv_width());
  std::int64_t total = config.vocab_size * config.hidden;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    total += attention;
    if (config.has_experts(layer))
      total += config.hidden * (config.experts.count + matrices * config.experts.chosen * config.experts.ffn +
                                matrices * config.experts.shared_ffn + (config.experts.shared_ffn > 0));
    else
      total += matrices * config.hidden * config.ffn;
  }
  return total;
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
