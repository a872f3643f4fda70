// Where the residual streams of calibration windows lie: in memory, or where they do not fit there beside a
// layer in files without names (core/model/scratch_tensor.h).
//
// Shapes: W windows, T tokens of a window, M hidden.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "convert/plan.h"
#include "core/family/model_directory.h"

namespace regroup::convert {

class StreamStorage {
 public:
  // Room for `count` streams of as many tokens as `tokens_WT` has.
  StreamStorage(const family::ModelDirectory& model, const at::Tensor& tokens_WT, std::int64_t count,
                const CalibrationOptions& options);

  at::Tensor make() const;  // [W, T, M], on the CPU
  bool on_disk() const { return directory_.has_value(); }

 private:
  std::vector<std::int64_t> shape_;
  at::ScalarType type_;
  std::optional<std::filesystem::path> directory_;
};

// Bytes that a layer takes at its heaviest, in elements of as many bytes: its weights, the student's
// projections with their gradients and Adam's two moments, and statistics in float64; or the output layer's,
// where that is larger.
std::uint64_t layer_bytes(const family::ModelConfig& config, std::int64_t element);

}  // namespace regroup::convert
