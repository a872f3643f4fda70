#include "core/family/rope_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace regroup::family {
namespace {

constexpr std::string_view kOriginal = "original_max_position_embeddings";

// The first of `places` that has the key, or the last.
const ConfigReader& holder_of(std::string_view key, std::initializer_list<const ConfigReader*> places) {
  const auto first = std::ranges::find_if(places, [&](const ConfigReader* place) { return place->has(key); });
  return first != places.end() ? **first : **(places.end() - 1);
}

// By how much positions are stretched.
double read_factor(const ConfigReader& keys) {
  const double factor = keys.positive("factor");
  if (factor < 1) keys.refuse("factor", "a number from 1 on");
  return factor;
}

double read_factor_or(const ConfigReader& keys, double fallback) {
  return keys.has("factor") ? read_factor(keys) : fallback;
}

void read_llama3(const ConfigReader& keys, Rope& rope) {
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = read_factor(keys);
  rope.low_freq_factor = keys.positive("low_freq_factor");
  rope.high_freq_factor = keys.positive("high_freq_factor");
  if (rope.high_freq_factor <= rope.low_freq_factor)
    keys.refuse("high_freq_factor", "a number above low_freq_factor");
}

// YaRN's factor on cosines and sines: 0.1 · mscale · ln(factor) + 1 (Peng et al. 2023, equation 22).
double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

double read_mscale(const ConfigReader& keys, std::string_view key) {
  const double mscale = keys.number_or(key, 0);
  if (mscale < 0) keys.refuse(key, "a number from 0 on");
  return mscale;
}

void read_yarn(const ConfigReader& keys, std::int64_t max_positions, Rope& rope) {
  rope.scaling = RopeScaling::kYarn;
  rope.factor =
      read_factor_or(keys, static_cast<double>(max_positions) / static_cast<double>(rope.original_positions));
  rope.beta_fast = keys.positive_or("beta_fast", 32);
  rope.beta_slow = keys.positive_or("beta_slow", 1);
  rope.truncate = keys.boolean_or("truncate", true);
  const double one = read_mscale(keys, "mscale"), all = read_mscale(keys, "mscale_all_dim");
  rope.attention_factor = keys.positive_or(
      "attention_factor", one != 0 && all != 0
                              ? yarn_magnitude(rope.factor, one) / yarn_magnitude(rope.factor, all)
                              : yarn_magnitude(rope.factor, 1));
}

void read_longrope(const ConfigReader& keys, const ConfigReader& original_keys, std::int64_t max_positions,
                   Rope& rope) {
  rope.scaling = RopeScaling::kLongRope;
  const auto pairs = static_cast<std::size_t>(rope.dims / 2);
  rope.short_factors = keys.positives("short_factor", pairs);
  rope.long_factors = keys.positives("long_factor", pairs);
  const double original = static_cast<double>(rope.original_positions);
  const double factor = read_factor_or(keys, static_cast<double>(max_positions) / original);
  if (factor > 1 && original < 2 && !keys.has("attention_factor"))
    original_keys.refuse(kOriginal, "a number above 1: attention is scaled by its logarithm");
  rope.attention_factor = keys.positive_or(
      "attention_factor", factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
}

// What no key says alone: keys together make numbers that float32, which positions are computed in, holds.
void require_finite(const ConfigReader& keys, std::string_view type_key, const Rope& rope) {
  ModelConfig model;
  model.rope = rope;
  const auto is_finite = [](float number) { return std::isfinite(number); };
  for (const std::int64_t length : {std::int64_t{1}, kMostCount})
    if (!std::ranges::all_of(rope_frequencies_float32(model, length), is_finite))
      keys.refuse(type_key, "a scaling whose frequencies are finite");
  const auto factor = static_cast<float>(rope.attention_factor);
  if (!(factor > 0) || !std::isfinite(factor))
    keys.refuse("attention_factor", "a number above 0 that float32 holds");
}

}  // namespace

Rope read_rope(const ConfigReader& config, std::int64_t head_dim, std::int64_t max_positions,
               const RopeDefaults& defaults) {
  const ConfigReader older = config.object("rope_scaling"), newer = config.object("rope_parameters");
  const ConfigReader& keys = older.empty() ? newer : older;
  Rope rope;
  const ConfigReader& theta_keys = holder_of("rope_theta", {&keys, &newer, &config});
  rope.theta = theta_keys.positive_or("rope_theta", defaults.theta);
  if (rope.theta <= 1) theta_keys.refuse("rope_theta", "a number above 1");
  const double share = holder_of("partial_rotary_factor", {&keys, &newer, &config})
                           .positive_or("partial_rotary_factor", defaults.share.value_or(1));
  if (share != 1 && !defaults.share)
    config.refuse("partial_rotary_factor", "1: models of this family turn whole heads");
  if (share > 1) config.refuse("partial_rotary_factor", "a number above 0, at most 1");
  rope.dims = static_cast<std::int64_t>(static_cast<double>(head_dim) * share);
  if (share == 1 && rope.dims % 2 != 0)
    config.refuse("head_dim", "an even number: rotary positions turn pairs",
                  "The heads would be " + std::to_string(head_dim) + " wide");
  if (rope.dims % 2 != 0 || rope.dims == 0)
    config.refuse("partial_rotary_factor",
                  "an even number of turned coordinates: rotary positions turn pairs",
                  "Heads would be " + std::to_string(head_dim) + " wide, " + std::to_string(rope.dims) +
                      " of that turned");
  const ConfigReader& original_keys = holder_of(kOriginal, {&config, &keys});
  rope.original_positions = original_keys.count_or(kOriginal, max_positions);

  const std::string_view type_key = keys.has("rope_type") ? "rope_type" : "type";
  const std::string type = keys.text_or(type_key, "default");
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = read_factor(keys);
  } else if (type == "llama3") {
    read_llama3(keys, rope);
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = read_factor(keys);
    rope.original_positions = max_positions;
    if (rope.dims <= 2) keys.refuse(type_key, "a scaling that heads with one turned pair can have");
  } else if (type == "yarn") {
    read_yarn(keys, max_positions, rope);
  } else if (type == "longrope" || type == "su") {
    read_longrope(keys, original_keys, max_positions, rope);
  } else if (type != "default") {
    keys.refuse(type_key, "one of default, linear, dynamic, llama3, yarn, longrope");
  }
  require_finite(keys, type_key, rope);
  return rope;
}

}  // namespace regroup::family
