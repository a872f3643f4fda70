#include "uptrain/outliers.h"

#include <cmath>
#include <numeric>

namespace regroup::uptrain {
namespace {

bool far_above(const std::deque<double>& values, double value, double deviations) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return value > mean + deviations * std::sqrt(squares / (count - 1));
}

void append(std::deque<double>& values, double value) {
  values.push_back(value);
  if (values.size() > Outliers::kRemembered) values.pop_front();
}

}  // namespace

bool Outliers::stands_out(double loss, double gradient_norm, double deviations) const {
  if (deviations <= 0 || losses_.size() < kFewest) return false;
  return far_above(losses_, loss, deviations) || far_above(norms_, gradient_norm, deviations);
}

bool Outliers::skips(double loss, double gradient_norm, double deviations) {
  if (in_a_row_ < kMostInARow && stands_out(loss, gradient_norm, deviations)) {
    ++in_a_row_;
    return true;
  }
  in_a_row_ = 0;
  append(losses_, loss);
  append(norms_, gradient_norm);
  return false;
}

void Outliers::forget() {
  losses_.clear();
  norms_.clear();
  in_a_row_ = 0;
}

Json Outliers::to_json() const {
  return {{"losses", losses_}, {"norms", norms_}, {"in_a_row", in_a_row_}};
}

Outliers Outliers::from_json(const Json& json) {
  Outliers outliers;
  outliers.losses_ = json.at("losses").get<std::deque<double>>();
  outliers.norms_ = json.at("norms").get<std::deque<double>>();
  outliers.in_a_row_ = json.value("in_a_row", 0);
  return outliers;
}

}  // namespace regroup::uptrain
