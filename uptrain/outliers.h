// Steps that stand out: a batch that is not like the others (or a fault) gives a loss or a gradient far above
// the last ones, and its update would undo many good ones (llm.c skips them the same way).
#pragma once

#include <deque>

#include "core/base/json.h"

namespace regroup::uptrain {

class Outliers {
 public:
  static constexpr std::size_t kRemembered = 128, kFewest = 32;

  // Whether loss or gradient norm is more than `deviations` standard deviations above the mean of the last
  // kRemembered steps that did not stand out. Never, before there are kFewest of them; 0 deviations: never.
  bool stands_out(double loss, double gradient_norm, double deviations) const;
  void remember(double loss, double gradient_norm);
  // Another objective has other losses.
  void forget();

  Json to_json() const;
  static Outliers from_json(const Json& json);

 private:
  std::deque<double> losses_, norms_;
};

}  // namespace regroup::uptrain
