#include "uptrain/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/base/error.h"
#include "core/base/table.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {
namespace {

double one_minus_sqrt(double progress) {
  return 1 - std::sqrt(progress);
}

// Loshchilov and Hutter 2017 (1608.03983), equation 5, without restarts, down to zero.
double half_cosine(double progress) {
  return 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

double straight(double progress) {
  return 1 - progress;
}

constexpr std::array kSchedules{
    // Hägele et al. 2024 (2405.18392), section 3. Half of the run decays, because a healing run is short: the
    // decay is where most of the loss falls.
    Schedule{"1-sqrt", "constant for half of the run, then 1 - sqrt of the rest down to zero", 0.5,
             one_minus_sqrt},
    Schedule{"cosine", "half a cosine wave down to zero", 0, half_cosine},
    Schedule{"linear", "a straight line down to zero", 0, straight},
};

// Steps of warm-up, and the moment the decay begins.
struct Phases {
  std::int64_t rising;
  double decay;
};

Phases phases(const Schedule& schedule, const Course& course) {
  const auto rising = static_cast<std::int64_t>(std::ceil(course.warmup * static_cast<double>(course.steps)));
  const double decay = double(rising) + schedule.constant * double(course.steps - rising);
  if (course.extended_at == 0) return {rising, decay};
  // The warm-up was over by then, whatever share of the new course it is; what was not decayed stays so.
  return {std::min(rising, course.extended_at), std::max(decay, double(course.extended_at))};
}

}  // namespace

std::span<const Schedule> schedules() {
  return kSchedules;
}

const Schedule& schedule(std::string_view name) {
  return row_named(kSchedules, name, "--schedule", "schedule");
}

double learning_rate(const Schedule& schedule, double peak, std::int64_t step, const Course& course) {
  check(step >= 0 && step < course.steps, "a step outside the run has no learning rate");
  const Phases phase = phases(schedule, course);
  if (step < phase.rising) return peak * static_cast<double>(step + 1) / static_cast<double>(phase.rising);
  const auto now = static_cast<double>(step);
  if (now < phase.decay) return peak;
  return peak * schedule.decay((now - phase.decay) / (static_cast<double>(course.steps) - phase.decay));
}

bool at_peak(const Schedule& schedule, std::int64_t step, const Course& course) {
  const Phases phase = phases(schedule, course);
  return schedule.constant > 0 && step >= phase.rising && static_cast<double>(step) <= phase.decay;
}

std::vector<std::string> schedule_names() {
  return names_of(kSchedules);
}

}  // namespace regroup::uptrain
