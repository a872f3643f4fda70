#include "core/model/sample.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/error.h"

namespace regroup::model {

using tokenizer::Token;

namespace {

// In proportion to `weights`; they need no order for that.
Token drawn(std::span<const double> weights, RandomStream& stream) {
  double left = stream.uniform() * std::reduce(weights.begin(), weights.end());
  std::size_t last = 0;  // the last that can be drawn, should roundings leave something
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    last = i;
    left -= weights[i];
    if (left < 0) break;
  }
  return static_cast<Token>(last);
}

}  // namespace

Token likeliest_token(std::span<const double> logits) {
  return static_cast<Token>(std::ranges::max_element(logits) - logits.begin());
}

Token sample_token(std::span<const double> logits, double temperature, double top_p, RandomStream& stream) {
  check(!logits.empty() && temperature > 0 && top_p > 0, "sampling needs logits and a temperature");
  const double highest = std::ranges::max(logits);
  std::vector<double> weights;
  for (const double logit : logits) weights.push_back(std::exp((logit - highest) / temperature));
  if (top_p == 1) return drawn(weights, stream);
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(),
                           [&](Token token) { return weights[static_cast<std::size_t>(token)]; });

  const double nucleus = top_p * std::reduce(weights.begin(), weights.end());
  double kept = 0;
  std::size_t count = 0;
  while (count < order.size() && kept < nucleus) kept += weights[static_cast<std::size_t>(order[count++])];
  double left = stream.uniform() * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    left -= weights[static_cast<std::size_t>(order[i])];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace regroup::model
