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
  std::string convention;     // how documents were made (data/token_stream.h)

  std::int64_t windows() const { return tokens_WT.size(0); }
  std::int64_t training() const { return windows() - held_out; }
  std::int64_t length() const { return tokens_WT.size(1); }
};

// Windows of 512 tokens, or of what the model's positions allow, in a random order that `seed` determines;
// all there are if the text has fewer than `options.tokens`. UserError for text that does not make two.
CalibrationText read_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                 std::uint64_t seed);

}  // namespace regroup::convert
