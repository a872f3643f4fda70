#include "core/metric/scored_rows.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/error.h"

namespace regroup::metric {
namespace {

// Where a window's targets stand in the result.
struct Slot {
  data::Window window;
  std::int64_t offset = 0;
};

// Windows by length and skip, longest first; within a shape in the order given.
std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Slot>, std::greater<>> slots_by_shape(
    const std::vector<data::Window>& windows) {
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<Slot>, std::greater<>> slots;
  std::int64_t offset = 0;
  for (const data::Window& window : windows) {
    slots[{window.length, window.skip}].push_back({window, offset});
    offset += window.scored();
  }
  return slots;
}

// Tokens [begin + from, begin + from + count) of each window, [B, count] int64.
at::Tensor gather_tokens(const std::vector<std::int32_t>& tokens, std::span<const Slot> slots,
                         std::int64_t from, std::int64_t count) {
  at::Tensor rows_BT = at::empty({std::ssize(slots), count}, at::kLong);
  auto* out = rows_BT.mutable_data_ptr<std::int64_t>();
  for (const Slot& slot : slots) {
    const auto begin = tokens.begin() + slot.window.begin + from;
    out = std::copy(begin, begin + count, out);
  }
  return rows_BT;
}

ScoredRows run_batch(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     std::span<const Slot> slots) {
  const data::Window shape = slots.front().window;
  const at::Device device = decoder.output_projection().device();
  const at::Tensor hidden_BTM =
      decoder.hidden_states(gather_tokens(tokens, slots, 0, shape.length).to(device));
  ScoredRows rows;
  rows.hidden_NM = hidden_BTM.slice(1, shape.skip).flatten(0, 1);
  rows.targets_N = gather_tokens(tokens, slots, shape.skip + 1, shape.scored()).to(device).flatten();
  for (const Slot& slot : slots)
    rows.runs.push_back(
        {.offset = slot.offset, .count = shape.scored(), .first_target = slot.window.begin + shape.skip + 1});
  return rows;
}

}  // namespace

void for_each_batch(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                    const std::vector<data::Window>& windows, std::int64_t batch,
                    const std::function<void(const ScoredRows&)>& take) {
  check(batch > 0, "a batch holds a window");
  for (const data::Window& window : windows)
    check(window.begin >= 0 && window.skip >= 0 && window.skip < window.length &&
              window.begin + window.length < std::ssize(tokens),
          "a window and its last target lie in the tokens, and it scores one");
  const at::NoGradGuard no_gradients;
  for (const auto& [shape, all] : slots_by_shape(windows))
    for (std::size_t first = 0; first < all.size(); first += static_cast<std::size_t>(batch))
      take(run_batch(
          decoder, tokens,
          std::span(all).subspan(first, std::min(all.size() - first, static_cast<std::size_t>(batch)))));
}

std::int64_t scored_tokens(const std::vector<data::Window>& windows) {
  std::int64_t scored = 0;
  for (const data::Window& window : windows) scored += window.scored();
  return scored;
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
