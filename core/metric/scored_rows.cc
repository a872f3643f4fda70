#include "core/metric/scored_rows.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/base/error.h"
#include "core/model/layer_by_layer.h"

namespace regroup::metric {
namespace {

// Where a window's targets stand in the result.
struct Slot {
  data::Window window;
  std::int64_t offset = 0;
};

// Longest first; within a length in the order given.
std::vector<Slot> slots_by_length(const std::vector<data::Window>& windows) {
  std::vector<Slot> slots;
  std::int64_t offset = 0;
  for (const data::Window& window : windows) {
    slots.push_back({window, offset});
    offset += window.scored();
  }
  std::ranges::stable_sort(slots, std::greater(), [](const Slot& slot) { return slot.window.length; });
  return slots;
}

// How many of `slots`, at least one, are run at once: `inputs` tokens at most, a quarter of them filling up.
std::size_t batch_size(std::span<const Slot> slots, std::int64_t inputs) {
  const std::int64_t longest = slots.front().window.length;
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, inputs / longest));
  std::size_t size = 1;
  while (size < std::min(most, slots.size()) && 4 * slots[size].window.length >= 3 * longest) ++size;
  return size;
}

// The inputs of each window, [B, T] int64, T the length of the first. What fills up a shorter one comes after
// its last input, where no token of its own sees it: what follows in the tokens, or zeros at their end.
at::Tensor gather_inputs(const std::vector<std::int32_t>& tokens, std::span<const Slot> slots) {
  const std::int64_t length = slots.front().window.length;
  at::Tensor rows_BT = at::zeros({std::ssize(slots), length}, at::kLong);
  auto* out = rows_BT.mutable_data_ptr<std::int64_t>();
  for (const Slot& slot : slots) {
    const auto begin = tokens.begin() + slot.window.begin;
    std::copy(begin, begin + std::min<std::int64_t>(length, tokens.end() - begin), out);
    out += length;
  }
  return rows_BT;
}

ScoredRows scored_rows(const at::Tensor& hidden_BTM, const std::vector<std::int32_t>& tokens,
                       std::span<const Slot> slots) {
  ScoredRows rows;
  std::vector<at::Tensor> hidden;
  std::vector<std::int64_t> targets;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto& [window, offset] = slots[i];
    hidden.push_back(hidden_BTM.select(0, static_cast<std::int64_t>(i)).slice(0, window.skip, window.length));
    const std::int64_t first = window.begin + window.skip + 1;
    targets.insert(targets.end(), tokens.begin() + first, tokens.begin() + window.begin + window.length + 1);
    rows.runs.push_back({.offset = offset, .count = window.scored(), .first_target = first});
  }
  rows.hidden_NM = at::cat(hidden);
  rows.targets_N = at::tensor(targets, at::kLong).to(hidden_BTM.device());
  return rows;
}

}  // namespace

HiddenStates states_of(const model::Decoder& decoder) {
  return [&decoder](std::span<const at::Tensor> batches_BT, const auto& take) {
    const at::Device device = decoder.output_projection().device();
    for (std::size_t batch = 0; batch < batches_BT.size(); ++batch)
      take(batch, decoder.hidden_states(batches_BT[batch].to(device)));
  };
}

HiddenStates layer_by_layer(const family::ModelDirectory& model, const model::Decoder& head,
                            std::function<at::Tensor(std::int64_t, std::int64_t)> streams,
                            std::function<void(double)> done) {
  return [&model, &head, streams = std::move(streams), done = std::move(done)](
             std::span<const at::Tensor> batches_BT, const auto& take) {
    std::int64_t rows = 0;
    for (const at::Tensor& batch_BT : batches_BT) rows += batch_BT.numel();
    const at::Device device = head.output_projection().device();
    const at::Tensor streams_NM = streams(rows, model.config.hidden);
    const double whole = static_cast<double>(rows) * static_cast<double>(model.config.layers);
    model::run_layer_by_layer(model, batches_BT, device, streams_NM,
                              [&](double tokens) { done(tokens / whole); });
    std::size_t batch = 0;
    model::for_each_stream(batches_BT, streams_NM, [&](const at::Tensor&, const at::Tensor& stream_BTM) {
      take(batch++, head.final_states(stream_BTM.to(device)));
    });
  };
}

void for_each_batch(const HiddenStates& states, const std::vector<std::int32_t>& tokens,
                    const std::vector<data::Window>& windows, std::int64_t batch,
                    const std::function<void(const ScoredRows&)>& take) {
  check(batch > 0, "a batch holds a window");
  for (const data::Window& window : windows)
    check(window.begin >= 0 && window.skip >= 0 && window.skip < window.length &&
              window.begin + window.length < std::ssize(tokens),
          "a window and its last target lie in the tokens, and it scores one");
  const at::NoGradGuard no_gradients;
  const std::vector<Slot> slots = slots_by_length(windows);
  const std::int64_t inputs = slots.empty() ? 0 : batch * slots.front().window.length;
  std::vector<std::span<const Slot>> batches;
  std::vector<at::Tensor> batches_BT;
  for (std::span<const Slot> rest(slots); !rest.empty(); rest = rest.subspan(batches.back().size())) {
    batches.push_back(rest.first(batch_size(rest, inputs)));
    batches_BT.push_back(gather_inputs(tokens, batches.back()));
  }
  states(batches_BT, [&](std::size_t index, const at::Tensor& hidden_BTM) {
    take(scored_rows(hidden_BTM, tokens, batches[index]));
  });
}

void place(const ScoredRows& rows, const at::Tensor& values, at::Tensor& out) {
  std::int64_t row = 0;
  for (const Run& run : rows.runs) {
    out.narrow(0, run.offset, run.count).copy_(values.narrow(0, row, run.count));
    row += run.count;
  }
}

std::int64_t rows_per_chunk(std::int64_t vocab_size) {
  constexpr std::int64_t kElements = std::int64_t{1} << 20;
  return std::clamp<std::int64_t>(kElements / vocab_size, 16, 2048);
}

}  // namespace regroup::metric
