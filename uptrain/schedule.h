// Learning-rate schedules: the share of the peak rate that each step uses.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace regroup::uptrain {

struct Schedule {
  std::string_view name, summary;
  // `progress` in [0, 1) is how much of the steps after warm-up is behind; the value is in [0, 1].
  double (*factor)(double progress);
};

// Every schedule, in the order --help prints them; the first is the default.
std::span<const Schedule> schedules();
const Schedule& schedule(std::string_view name);  // UserError lists the names

// Learning rate of step `step` in [0, steps): a linear rise over the first `warmup` of the steps, then the
// schedule. The first step's rate is above zero, and so is the last one's.
double learning_rate(const Schedule& schedule, double peak, std::int64_t step, std::int64_t steps,
                     double warmup);

}  // namespace regroup::uptrain
