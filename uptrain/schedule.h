// Learning-rate schedules: the share of the peak rate that each step uses.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace regroup::uptrain {

struct Schedule {
  std::string_view name, summary;
  double constant;  // share of the steps after warm-up that stay at the peak
  // `progress` in [0, 1) is how much of the decay is behind; the value is in [0, 1].
  double (*decay)(double progress);
};

// Every schedule, in the order --help prints them; the first is the default.
std::span<const Schedule> schedules();
const Schedule& schedule(std::string_view name);  // UserError lists the names

// A run as its schedule sees it.
struct Course {
  std::int64_t steps = 0;
  double warmup = 0;             // share of the steps in which the rate rises linearly
  std::int64_t extended_at = 0;  // steps that were done when `steps` was last changed; 0: it never was
};

// Learning rate of step `step` in [0, steps). The first step's rate is above zero, and so is the last one's.
double learning_rate(const Schedule& schedule, double peak, std::int64_t step, const Course& course);

// Whether the rate is at its peak once `step` steps are done: then the rest of the course may still be
// changed.
bool at_peak(const Schedule& schedule, std::int64_t step, const Course& course);

}  // namespace regroup::uptrain
