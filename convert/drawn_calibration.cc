#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "convert/calibration.h"
#include "convert/stream_storage.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/model/decoder.h"
#include "core/model/device.h"
#include "core/model/layer_by_layer.h"
#include "core/model/sample.h"

namespace regroup::convert {
namespace {

// A round for each parity of positions: more of them gain little (docs/decisions/0004-refits.md).
constexpr int kRounds = 2;

// Id i with a probability in proportion to 1 / (i + 27) (Zipf's law as Mandelbrot has it): tokenizers number
// their tokens from frequent to rare, or nearly so. What this has wrong the rounds correct.
at::Tensor first_ids(std::int64_t windows, std::int64_t length, std::int64_t vocab_size, std::uint64_t seed) {
  std::vector<double> sums;
  double sum = 0;
  for (std::int64_t id = 0; id < vocab_size; ++id) sums.push_back(sum += 1 / (static_cast<double>(id) + 27));
  const at::Tensor ids_WT = at::empty({windows, length}, at::kLong);
  RandomStream stream(seed, "convert/drawn/first");
  for (std::int64_t& id :
       std::span(ids_WT.mutable_data_ptr<std::int64_t>(), static_cast<std::size_t>(ids_WT.numel()))) {
    const auto above = std::ranges::upper_bound(sums, stream.uniform() * sum);
    id = std::min<std::int64_t>(above - sums.begin(), vocab_size - 1);
  }
  return ids_WT;
}

// Draws the ids at positions begin, begin + 2, .. of a window, each by the logits of the position before it.
void draw_every_second(const model::Decoder& head, const at::Tensor& stream_TM, std::int64_t begin,
                       RandomStream random, std::span<std::int64_t> ids) {
  constexpr std::int64_t kRowsAtATime = 64;  // their logits are held
  const at::Tensor before_NM =
      head.final_states(stream_TM).slice(0, begin - 1, stream_TM.size(0) - 1, /*step=*/2);
  std::int64_t* id = ids.data() + begin;
  for (std::int64_t row = 0; row < before_NM.size(0); row += kRowsAtATime) {
    const at::Tensor logits_NV = head.logits(before_NM.slice(0, row, row + kRowsAtATime))
                                     .to(at::TensorOptions(at::kDouble).device(at::kCPU))
                                     .contiguous();
    const auto vocab = static_cast<std::size_t>(logits_NV.size(1));
    for (std::int64_t i = 0; i < logits_NV.size(0); ++i, id += 2)
      *id = model::sample_token({logits_NV[i].const_data_ptr<double>(), vocab}, 1, 1, random);
  }
}

// Replaces the odd positions of all windows in even rounds, the others but the first in odd ones. The
// streams of all windows pass through `stream_WTM`.
void redraw(const family::ModelDirectory& model, const at::Tensor& ids_WT, const at::Tensor& stream_WTM,
            at::Device device, int round, std::uint64_t seed, Progress& progress) {
  model::run_layer_by_layer(model, ids_WT.split(windows_at_a_time(ids_WT.size(1))), device,
                            stream_WTM.flatten(0, 1), [&](double tokens) { progress.advance(tokens); });
  const model::Decoder head(model.config, model::load_head(model, stream_WTM.scalar_type(), device));
  const std::span ids(ids_WT.mutable_data_ptr<std::int64_t>(), static_cast<std::size_t>(ids_WT.numel()));
  const auto length = static_cast<std::size_t>(ids_WT.size(1));
  at::parallel_for(0, ids_WT.size(0), 1, [&](std::int64_t first, std::int64_t last) {
    const at::NoGradGuard no_grad;
    for (std::int64_t window = first; window < last; ++window)
      draw_every_second(head, stream_WTM[window].to(device), round % 2 == 0 ? 1 : 2,
                        RandomStream(seed, fmt::format("convert/drawn/{}/{}", round, window)),
                        ids.subspan(static_cast<std::size_t>(window) * length, length));
  });
}

}  // namespace

CalibrationTokens draw_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                   const std::string& device_name, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  const std::int64_t length = calibration_window(model), windows = made_windows(options, length);
  const at::Device device = model::open_device(device_name);
  const at::Tensor ids_WT = first_ids(windows, length, model.config.vocab_size, seed);
  Progress progress("drawing tokens", static_cast<double>(kRounds * model.config.layers * windows * length),
                    "tokens");
  const at::Tensor stream_WTM = StreamStorage(model, ids_WT, 1, options).make();
  for (int round = 0; round < kRounds; ++round)
    redraw(model, ids_WT, stream_WTM, device, round, seed, progress);
  return {.tokens_WT = ids_WT,
          .held_out = held_out_of(windows),
          .origin = fmt::format("drawn at random, then as the source expects them, seed {}", seed)};
}

}  // namespace regroup::convert
