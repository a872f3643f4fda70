// The text that a calibrated conversion looks at.
//
// Shapes: W windows, T tokens of a window.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "convert/plan.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

struct CalibrationText {
  at::Tensor tokens_WT;       // int64; the last `held_out` windows decide, the others are learned from
  std::int64_t held_out = 0;  // a tenth, at least one
  std::string origin;         // one sentence for records: how documents were made, or who wrote them

  std::int64_t windows() const { return tokens_WT.size(0); }
  std::int64_t training() const { return windows() - held_out; }
  std::int64_t length() const { return tokens_WT.size(1); }
};

// Tokens of a window: 512, or what the model's positions allow. How many of the windows decide.
std::int64_t calibration_window(const family::ModelDirectory& model);
std::int64_t held_out_of(std::int64_t windows);

// Windows in a random order that `seed` determines; all there are if the text has fewer than
// `options.tokens`. UserError for text that does not make two.
CalibrationText read_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                 std::uint64_t seed);

// As many windows as the same options would read, written by the model itself: sampled from all it knows,
// without having seen any text. The whole model is in memory for as long as it writes, in bfloat16 where
// that is fast, beside a cache that is not larger than it. UserError where they do not fit.
CalibrationText generate_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                     const std::string& device, std::uint64_t seed);

}  // namespace regroup::convert
