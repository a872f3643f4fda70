#include "core/data/mixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/base/error.h"

namespace regroup::data {
namespace {

constexpr std::int64_t kLargestSum = 1'000'000;

[[noreturn]] void refuse(std::string what, std::string expected, std::string found, std::string remedy = "") {
  throw UserError({.where = "--data-weights",
                   .what = std::move(what),
                   .expected = std::move(expected),
                   .found = std::move(found),
                   .remedy = std::move(remedy)});
}

// The weights in units of 1/scale, if all are whole then.
std::optional<std::vector<std::int64_t>> whole_at(std::span<const double> weights, double scale) {
  std::vector<std::int64_t> whole;
  for (const double weight : weights) {
    const double scaled = weight * scale, nearest = std::round(scaled);
    if (std::abs(scaled - nearest) > 1e-9 * scaled)
      return std::nullopt;  // as near as decimals come in binary
    whole.push_back(static_cast<std::int64_t>(nearest));
  }
  return whole;
}

std::int64_t sum_of(std::span<const std::int64_t> weights) {
  return std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// When a source's next turn may come and when it must, counted from 1.
struct Due {
  std::int64_t from = 0, until = 0;
};

// Of k sources, for one that had `turns` of them. The deviation allowed is 1 - 1/slack.
Due next_turn(std::int64_t turns, std::int64_t weight, std::int64_t sum, std::int64_t slack) {
  return {.from = ceil_div(sum * (turns * slack + 1), weight * slack),
          .until = sum * (turns * slack + slack - 1) / (weight * slack) + 1};
}

}  // namespace

std::vector<std::int64_t> whole_weights(std::span<const double> weights, std::size_t files) {
  if (weights.size() != files)
    refuse("one weight for each file of --data", fmt::format("{}", files), fmt::format("{}", weights.size()));
  for (const double weight : weights)
    if (!(weight > 0 && weight <= 1e9))
      refuse("not a weight", "a number above 0, at most 10^9", fmt::format("{}", weight),
             "Leave out a file that should not be read");
  std::optional<std::vector<std::int64_t>> whole;
  for (double scale = 1; !whole && scale <= 1e6; scale *= 10) whole = whole_at(weights, scale);
  std::int64_t divisor = 0;
  if (whole)
    for (const std::int64_t weight : *whole) divisor = std::gcd(divisor, weight);
  const std::int64_t sum = whole ? sum_of(*whole) / divisor : 0;
  if (sum == 0 || sum > kLargestSum)
    refuse("too fine a proportion",
           fmt::format("whole numbers of a sum of at most {}, or decimals", kLargestSum),
           fmt::format("{}", fmt::join(weights, " ")), "Round them, as in 0.7 0.2 0.1");
  for (std::int64_t& weight : *whole) weight /= divisor;
  return *whole;
}

Interleaving::Interleaving(std::span<const std::int64_t> weights) : weights_(weights.begin(), weights.end()) {
  const std::int64_t sum = sum_of(weights), sources = std::ssize(weights),
                     slack = std::max<std::int64_t>(1, 2 * sources - 2);
  check(sources > 0 && std::ranges::min(weights) > 0, "a mixture has sources, all of them with a weight");
  check(sum <= kLargestSum, "weights come from whole_weights()");
  std::vector<std::uint32_t> turns(weights.size());
  std::vector<Due> due;
  for (const std::int64_t weight : weights) due.push_back(next_turn(0, weight, sum, slack));
  for (std::int64_t position = 1; position <= sum; ++position) {
    std::size_t next = weights.size();
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (due[i].from <= position && (next == weights.size() || due[i].until < due[next].until)) next = i;
    check(next < weights.size() && due[next].until >= position, "some source's turn comes in time");
    period_.push_back({static_cast<std::uint32_t>(next), turns[next]++});
    due[next] = next_turn(turns[next], weights[next], sum, slack);
  }
}

Interleaving::Turn Interleaving::at(std::int64_t position) const {
  check(position >= 0, "positions count from 0");
  const std::int64_t period = std::ssize(period_), round = position / period;
  const auto [source, index] = period_[static_cast<std::size_t>(position % period)];
  return {source, round * weights_[source] + index};
}

}  // namespace regroup::data
