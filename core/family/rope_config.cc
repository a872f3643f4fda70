#include "core/family/rope_config.h"

#include <cmath>

namespace regroup::family {
namespace {

constexpr std::string_view kOriginal = "original_max_position_embeddings";

void read_llama3(const ConfigReader& keys, Rope& rope) {
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = keys.positive("factor");
  rope.low_freq_factor = keys.positive("low_freq_factor");
  rope.high_freq_factor = keys.positive("high_freq_factor");
  if (rope.high_freq_factor <= rope.low_freq_factor)
    keys.refuse("high_freq_factor", "a number above low_freq_factor");
}

// YaRN's factor on cosines and sines: 0.1 · mscale · ln(factor) + 1 (Peng et al. 2023, equation 22).
double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void read_yarn(const ConfigReader& keys, std::int64_t max_positions, Rope& rope) {
  rope.scaling = RopeScaling::kYarn;
  rope.factor = keys.positive_or(
      "factor", static_cast<double>(max_positions) / static_cast<double>(rope.original_positions));
  rope.beta_fast = keys.positive_or("beta_fast", 32);
  rope.beta_slow = keys.positive_or("beta_slow", 1);
  rope.truncate = keys.boolean_or("truncate", true);
  const double one = keys.number_or("mscale", 0), all = keys.number_or("mscale_all_dim", 0);
  rope.attention_factor = keys.positive_or(
      "attention_factor", one != 0 && all != 0
                              ? yarn_magnitude(rope.factor, one) / yarn_magnitude(rope.factor, all)
                              : yarn_magnitude(rope.factor, 1));
}

void read_longrope(const ConfigReader& keys, std::int64_t max_positions, Rope& rope) {
  rope.scaling = RopeScaling::kLongRope;
  const auto pairs = static_cast<std::size_t>(rope.dims / 2);
  rope.short_factors = keys.positives("short_factor", pairs);
  rope.long_factors = keys.positives("long_factor", pairs);
  const double original = static_cast<double>(rope.original_positions);
  const double factor = keys.positive_or("factor", static_cast<double>(max_positions) / original);
  rope.attention_factor = keys.positive_or(
      "attention_factor", factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
}

}  // namespace

Rope read_rope(const ConfigReader& config, std::int64_t head_dim, std::int64_t max_positions,
               const RopeDefaults& defaults) {
  const ConfigReader older = config.object("rope_scaling"), newer = config.object("rope_parameters");
  const ConfigReader& keys = older.empty() ? newer : older;
  Rope rope;
  rope.theta = keys.positive_or(
      "rope_theta", newer.positive_or("rope_theta", config.positive_or("rope_theta", defaults.theta)));
  const double share = keys.positive_or(
      "partial_rotary_factor",
      newer.positive_or("partial_rotary_factor",
                        config.positive_or("partial_rotary_factor", defaults.share.value_or(1))));
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
  rope.original_positions = config.count_or(kOriginal, keys.count_or(kOriginal, max_positions));

  const std::string_view type_key = keys.has("rope_type") ? "rope_type" : "type";
  const std::string type = keys.text_or(type_key, "default");
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = keys.positive("factor");
  } else if (type == "llama3") {
    read_llama3(keys, rope);
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = keys.positive("factor");
    rope.original_positions = max_positions;
    if (rope.dims <= 2) keys.refuse(type_key, "a scaling that heads with one turned pair can have");
  } else if (type == "yarn") {
    read_yarn(keys, max_positions, rope);
  } else if (type == "longrope" || type == "su") {
    read_longrope(keys, max_positions, rope);
  } else if (type != "default") {
    keys.refuse(type_key, "one of default, linear, dynamic, llama3, yarn, longrope");
  }
  return rope;
}

}  // namespace regroup::family
