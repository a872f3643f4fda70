#include "core/metric/nll.h"

#include <ATen/Functions.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/error.h"

namespace regroup::metric {
namespace {

// Where a window's targets stand in the result.
struct Slot {
  data::Window window;
  std::int64_t offset = 0;
};

// Windows by length, longest first; within a length in the order given.
std::map<std::int64_t, std::vector<Slot>, std::greater<>> slots_by_length(
    const std::vector<data::Window>& windows) {
  std::map<std::int64_t, std::vector<Slot>, std::greater<>> slots;
  std::int64_t offset = 0;
  for (const data::Window& window : windows) {
    slots[window.length].push_back({window, offset});
    offset += window.length;
  }
  return slots;
}

// Tokens [begin + shift, begin + shift + length) of each window, [B, T] int64.
at::Tensor gather_tokens(const std::vector<std::int32_t>& tokens, std::span<const Slot> slots,
                         std::int64_t shift) {
  const std::int64_t length = slots.front().window.length;
  at::Tensor rows_BT = at::empty({std::ssize(slots), length}, at::kLong);
  auto* out = rows_BT.mutable_data_ptr<std::int64_t>();
  for (const Slot& slot : slots) {
    const auto begin = tokens.begin() + slot.window.begin + shift;
    out = std::copy(begin, begin + length, out);
  }
  return rows_BT;
}

// hidden_NM, targets_N -> nats [N] in fp64; N = B*T.
at::Tensor nll_of_hidden(const model::Decoder& decoder, const at::Tensor& hidden_NM,
                         const at::Tensor& targets_N) {
  const std::int64_t rows = hidden_NM.size(0), chunk = rows_per_chunk(decoder.config().vocab_size);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t end = std::min(rows, begin + chunk);
    at::Tensor logits_RV = decoder.logits(hidden_NM.slice(0, begin, end));
    if (logits_RV.scalar_type() != at::kDouble) logits_RV = logits_RV.to(at::kFloat);
    const at::Tensor chosen_R = logits_RV.gather(1, targets_N.slice(0, begin, end).unsqueeze(1)).squeeze(1);
    parts.push_back((logits_RV.logsumexp(1) - chosen_R).to(at::kDouble));
  }
  return at::cat(parts);
}

void require_finite(std::span<const double> nats, std::span<const Slot> slots, const std::string& where) {
  const auto bad = std::ranges::find_if(nats, [](double value) { return !std::isfinite(value); });
  if (bad == nats.end()) return;
  const std::int64_t index = bad - nats.begin(), length = slots.front().window.length;
  const std::int64_t position =
      slots[static_cast<std::size_t>(index / length)].window.begin + index % length + 1;
  throw UserError(
      {.where = where,
       .what = fmt::format("the loss of the token at position {} of the data is {}", position, *bad),
       .remedy = "Its weights or this --dtype overflow: try --dtype fp32, or look at the weights"});
}

}  // namespace

std::int64_t rows_per_chunk(std::int64_t vocab_size) {
  constexpr std::int64_t kElements = std::int64_t{1} << 20;
  return std::clamp<std::int64_t>(kElements / vocab_size, 16, 2048);
}

at::Tensor token_nll(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     const std::vector<data::Window>& windows, std::int64_t batch,
                     const std::function<void(std::int64_t)>& done, const std::string& where) {
  check(batch > 0, "a batch holds a window");
  const at::NoGradGuard no_gradients;
  std::int64_t targets = 0;
  for (const data::Window& window : windows) {
    check(window.begin >= 0 && window.length > 0 && window.begin + window.length < std::ssize(tokens),
          "a window and its last target lie in the tokens");
    targets += window.length;
  }
  at::Tensor nats = at::empty({targets}, at::kDouble);
  auto* const out = nats.mutable_data_ptr<double>();
  const at::Device device = decoder.output_projection().device();
  for (const auto& [length, all] : slots_by_length(windows)) {
    for (std::size_t first = 0; first < all.size(); first += static_cast<std::size_t>(batch)) {
      const auto slots =
          std::span(all).subspan(first, std::min(all.size() - first, static_cast<std::size_t>(batch)));
      const at::Tensor hidden_BTM = decoder.hidden_states(gather_tokens(tokens, slots, 0).to(device));
      const at::Tensor targets_N = gather_tokens(tokens, slots, 1).to(device).flatten();
      const at::Tensor scored_N = nll_of_hidden(decoder, hidden_BTM.flatten(0, 1), targets_N).cpu();
      const std::span scored(scored_N.const_data_ptr<double>(), static_cast<std::size_t>(scored_N.numel()));
      require_finite(scored, slots, where);
      for (std::size_t i = 0; i < slots.size(); ++i)
        std::copy_n(scored.begin() + static_cast<std::ptrdiff_t>(i) * length, length, out + slots[i].offset);
      if (done) done(scored_N.numel());
    }
  }
  return nats;
}

}  // namespace regroup::metric
