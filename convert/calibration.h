// The tokens that a calibrated conversion looks at.
//
// Shapes: W windows, T tokens of a window.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "convert/plan.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

struct CalibrationTokens {
  at::Tensor tokens_WT;       // int64; the last `held_out` windows decide, the others are learned from
  std::int64_t held_out = 0;  // a tenth, at least one
  std::string origin;         // for records: how documents were made, who wrote them, how they were drawn

  std::int64_t windows() const { return tokens_WT.size(0); }
  std::int64_t training() const { return windows() - held_out; }
  std::int64_t length() const { return tokens_WT.size(1); }
  // Of what belongs to windows [begin, begin + B), [B, ...], that of those that are learned from.
  at::Tensor learned(const at::Tensor& values_B, std::int64_t begin) const;
};

// Windows of `length` tokens that are gone through at a time: some 2,048 tokens.
std::int64_t windows_at_a_time(std::int64_t length);
// Goes through windows [begin, end) so: `take` is given the first of a batch, and how many they are.
void for_each_batch(std::int64_t begin, std::int64_t end, std::int64_t length,
                    const std::function<void(std::int64_t first, std::int64_t count)>& take);

// Tokens of a window: 512, or what the model's positions allow.
std::int64_t calibration_window(const family::ModelDirectory& model);
// Whole windows in as many tokens as are asked for.
std::int64_t asked_windows(const CalibrationOptions& options, std::int64_t length);
// The same of tokens that are made, not read; UserError for less than two, or more
// ids than memory can hold.
std::int64_t made_windows(const CalibrationOptions& options, std::int64_t length);
// How many of the windows decide.
std::int64_t held_out_of(std::int64_t windows);

// Windows in a random order that `seed` determines; all there are if the text has fewer than
// `options.tokens`. UserError for text that does not make two.
CalibrationTokens read_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                   std::uint64_t seed);

// As many windows as the same options would read, written by the model itself: sampled from all it knows,
// without having seen any text. The whole model is in memory for as long as it writes, in bfloat16 where
// that is fast, beside a cache that is not larger than it. UserError where they do not fit.
CalibrationTokens generate_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                       const std::string& device, std::uint64_t seed);

// Tokens that stand in for text where there is none: ids drawn by a law of frequencies, of which the source
// then replaces every second one, and after that the others, by what it expects after those before. It sees
// its own expectations so, at the cost of two passes, where text of its own takes as many steps as tokens. A
// layer at a time is in memory, beside the hidden states of all windows where they fit (stream_storage.h).
CalibrationTokens draw_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                   const std::string& device, std::uint64_t seed);

}  // namespace regroup::convert
