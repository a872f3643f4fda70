#include "uptrain/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/base/error.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {
namespace {

// Hägele et al. 2024 (2405.18392), section 3: a constant rate and then 1 - sqrt. Half of the run decays,
// because a healing run is short: the decay is where most of the loss falls.
constexpr double kDecayBegins = 0.5;

double constant_then_one_minus_sqrt(double progress) {
  if (progress < kDecayBegins) return 1;
  return 1 - std::sqrt((progress - kDecayBegins) / (1 - kDecayBegins));
}

// Loshchilov and Hutter 2017 (1608.03983), equation 5, without restarts, down to zero.
double cosine(double progress) {
  return 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double linear(double progress) {
  return 1 - progress;
}

constexpr std::array kSchedules{
    Schedule{"1-sqrt", "constant for half of the run, then 1 - sqrt of the rest down to zero",
             constant_then_one_minus_sqrt},
    Schedule{"cosine", "half a cosine wave down to zero", cosine},
    Schedule{"linear", "a straight line down to zero", linear},
};

}  // namespace

std::span<const Schedule> schedules() {
  return kSchedules;
}

const Schedule& schedule(std::string_view name) {
  const auto found = std::ranges::find(kSchedules, name, &Schedule::name);
  if (found != kSchedules.end()) return *found;
  throw UserError({.where = "--schedule",
                   .what = "no such schedule",
                   .expected = list_some(schedule_names()),
                   .found = std::string(name)});
}

double learning_rate(const Schedule& schedule, double peak, std::int64_t step, std::int64_t steps,
                     double warmup) {
  check(step >= 0 && step < steps, "a step outside the run has no learning rate");
  const auto rising = static_cast<std::int64_t>(std::ceil(warmup * static_cast<double>(steps)));
  if (step < rising) return peak * static_cast<double>(step + 1) / static_cast<double>(rising);
  return peak * schedule.factor(static_cast<double>(step - rising) / static_cast<double>(steps - rising));
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const Schedule& row : kSchedules) names.emplace_back(row.name);
  return names;
}

}  // namespace regroup::uptrain
