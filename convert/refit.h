// Refitting a merged layer to what the source's attention gives on text: one row a refit.
//
// Shapes: W windows, T tokens, M hidden, H query heads, D head_dim, F = H·D.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/attention_layer.h"
#include "convert/calibration.h"
#include "core/family/model_config.h"
#include "core/model/positions.h"
#include "core/model/weights.h"

namespace regroup::convert {

// A layer of source and student on the calibration text. Layers are done in order: the student's inputs carry
// what the merges before this one changed, the targets are the source's own.
struct RefitProblem {
  family::ModelConfig config;  // of the student
  model::Weights fixed;        // of this layer, without its projections: norms, the output's bias
  std::int64_t layer = 0;
  // Only for a refit that reads_source: its heads in the student's order, and what its attention reads on the
  // first S windows, on the CPU.
  AttentionLayer source;
  at::Tensor source_input_STM;
  at::Tensor student_stream_WTM;     // residual stream before the layer, on the CPU
  at::Tensor target_WTM;             // what attention should add to it, on the CPU
  model::Rotation rotation;          // of positions [0, T)
  at::Tensor weight_T1;              // of positions in errors: 1, but for the first
  std::int64_t training = 0;         // windows to learn from; the rest decide
  std::function<void(double)> done;  // is told of tokens gone through

  std::int64_t windows() const { return target_WTM.size(0); }
  std::int64_t tokens() const { return target_WTM.size(1); }
  at::Device device() const { return weight_T1.device(); }
  // What attention reads, and should give, on windows [begin, begin + count).
  at::Tensor input(std::int64_t begin, std::int64_t count) const;
  at::Tensor target(std::int64_t begin, std::int64_t count) const;
};

// Puts the projections of `attention` among a decoder layer's weights.
void put_projections(const family::ModelConfig& config, const AttentionLayer& attention, std::int64_t layer,
                     model::Weights& weights, at::TensorOptions options);

// The decoder layer of a student with these projections, and back.
model::Weights weights_with(const RefitProblem& problem, const AttentionLayer& student);
AttentionLayer projections_of(const RefitProblem& problem, const model::Weights& weights,
                              const AttentionLayer& like);

// What the student's attention adds to its stream on windows [begin, begin + count), and what its heads give
// before the output projection.
at::Tensor student_output(const RefitProblem& problem, const model::Weights& weights, std::int64_t begin,
                          std::int64_t count);
at::Tensor student_heads(const RefitProblem& problem, const model::Weights& weights, std::int64_t begin,
                         std::int64_t count);

// E‖output - target‖² / E‖target‖² over the held-out windows.
double held_out_error(const RefitProblem& problem, const AttentionLayer& student);

struct Refit {
  std::string_view name;     // as written in --refit
  std::string_view summary;  // as printed by --help
  double passes;             // over the windows that are learned from, for the progress line
  bool reads_source;         // not the targets alone
  AttentionLayer (*fit)(const RefitProblem& problem, const AttentionLayer& student);
};

// Every refit, in the order --help prints them. Tests loop over this table.
std::span<const Refit> refits();

// With text, what keeps most of a model (docs/methods.md has the table).
inline constexpr std::string_view kBestRefit = "ridge,reconstruct";

// "ridge,reconstruct" -> rows; "none" -> no rows. UserError that lists the names for an unknown one.
std::vector<const Refit*> parse_refits(const std::string& list);

}  // namespace regroup::convert
