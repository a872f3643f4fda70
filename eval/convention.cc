#include "eval/convention.h"

namespace regroup::eval {

std::span<const Convention> conventions() {
  static constexpr Convention kAll[] = {
      {.name = "consecutive",
       .summary = "Disjoint windows of W inputs [iW, iW+W), targets shifted by one: every token but the "
                  "first of the "
                  "stream is scored exactly once, with 1 to W tokens of context.",
       .windows = data::consecutive_windows},
  };
  return kAll;
}

}  // namespace regroup::eval
