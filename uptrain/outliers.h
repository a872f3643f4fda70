// Steps that stand out: a batch that is not like the others (or a fault) gives a loss or a gradient far above
// the last ones, and its update would undo many good ones. Three in a row are no outliers but another level,
// to which a run must get used (llm.c, outlier_detector.h).
#pragma once

#include <deque>

#include "core/base/json.h"

namespace regroup::uptrain {

class Outliers {
 public:
  static constexpr std::size_t kRemembered = 128, kFewest = 32;
  static constexpr int kMostInARow = 2;

  // Whether a step is to be skipped: its loss or gradient norm is more than `deviations` standard deviations
  // above the mean of the last kRemembered steps that were not, and fewer than kMostInARow were skipped just
  // before. Never, before there are kFewest of them; 0 deviations: never.
  bool skips(double loss, double gradient_norm, double deviations);
  // Another objective has other losses.
  void forget();

  Json to_json() const;
  static Outliers from_json(const Json& json);

 private:
  bool stands_out(double loss, double gradient_norm, double deviations) const;

  std::deque<double> losses_, norms_;
  int in_a_row_ = 0;  // skipped, up to now
};

}  // namespace regroup::uptrain
