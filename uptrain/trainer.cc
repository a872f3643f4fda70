#include "uptrain/trainer.h"

#include <fmt/format.h>

#include <chrono>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/units.h"
#include "core/data/windows.h"
#include "core/metric/nll.h"
#include "uptrain/schedule.h"
#include "uptrain/step.h"

namespace regroup::uptrain {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The windows of step `step` (from 1): a pure function of the seed, so that a resumed run reads the same
// ones.
Batch batch_of(const Run& run, const data::ShuffledWindows& windows, std::int64_t step) {
  const std::int64_t count = run.recipe.batch, length = run.recipe.sequence_length;
  const at::Tensor tokens_BT1 = at::empty({count, length + 1}, at::kLong);
  auto* out = tokens_BT1.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const data::Window window = windows.at((step - 1) * count + i);
    const auto first = run.train.tokens.begin() + window.begin;
    std::copy(first, first + length + 1, out + i * (length + 1));
  }
  const at::Tensor on_device = tokens_BT1.to(run.device);
  return {on_device.narrow(1, 0, length).contiguous(), on_device.narrow(1, 1, length).contiguous()};
}

double validation_loss(const Run& run) {
  const auto windows = data::consecutive_windows(static_cast<std::int64_t>(run.valid->tokens.size()),
                                                 run.recipe.sequence_length);
  return metric::token_nll(run.student, run.valid->tokens, windows, run.recipe.micro_batch)
      .mean()
      .item<double>();
}

[[noreturn]] void stop_not_finite(const StepResult& result, std::int64_t step, const RunState& saved) {
  throw UserError(
      {.where = fmt::format("step {}", step),
       .what = fmt::format(
           "loss {} and gradient norm {} are not both finite; the last good state is {}", result.loss,
           result.gradient_norm,
           saved.step > 0 ? fmt::format("that of step {}", saved.step) : "the model it began with"),
       .remedy = "Try a smaller --lr or a longer --warmup; --resume goes on from the last good state"});
}

StepMetrics measure(const Run& run, const StepResult& result, const RunState& state, double lr,
                    double seconds) {
  const auto tokens = static_cast<double>(run.recipe.tokens_per_step());
  const double flops = family::training_flops_per_token(run.student.config(), run.recipe.sequence_length);
  return {.step = state.step,
          .tokens = state.tokens,
          .loss = result.loss,
          .learning_rate = lr,
          .gradient_norm = result.gradient_norm,
          .tokens_per_second = tokens / seconds,
          .mfu = tokens / seconds * flops / run.peak_flops,
          .seconds = seconds,
          .validation_loss = {}};
}

void log_step(const Run& run, const StepMetrics& m, double tokens_per_second) {
  const double left = double(run.recipe.tokens() - m.tokens) / tokens_per_second;
  log_info(fmt::format(
      "step {}/{}  loss {:.4f}  lr {:.2e}  gradient norm {:.3f}  {} tokens/s  MFU {:.1f}%  {} left{}", m.step,
      run.recipe.steps, m.loss, m.learning_rate, m.gradient_norm, human_count(m.tokens_per_second),
      100 * m.mfu, human_seconds(left),
      m.validation_loss ? fmt::format("  validation {:.4f}", *m.validation_loss) : ""));
}

// Where a run is, and what it has to show for it.
struct Clockwork {
  const Run& run;
  RunState& state;
  MetricsFile& metrics;
  data::ShuffledWindows windows;
  const Schedule& schedule_row;
  RunState saved;  // the last state that is on the disk
  std::int64_t steps_here = 0;
  double seconds_here = 0;
  Clock::time_point last_line;

  double tokens_per_second() const {
    return double(steps_here * run.recipe.tokens_per_step()) / seconds_here;
  }
};

StepMetrics advance(Clockwork& clock) {
  const Run& run = clock.run;
  RunState& state = clock.state;
  const auto start = Clock::now();
  const double lr =
      learning_rate(clock.schedule_row, run.recipe.lr, state.step, run.recipe.steps, run.options.warmup);
  const StepSettings settings{.step = state.step + 1,
                              .micro_batch = run.recipe.micro_batch,
                              .clip = run.options.clip,
                              .adamw = {.lr = lr, .weight_decay = run.options.weight_decay}};
  const StepResult result = step(run.student, run.parameters, losses().front(),
                                 batch_of(run, clock.windows, settings.step), settings);
  if (!result.updated) stop_not_finite(result, settings.step, clock.saved);
  const double seconds = seconds_since(start);
  clock.steps_here += 1;
  clock.seconds_here += seconds;
  state.step += 1;
  state.tokens += run.recipe.tokens_per_step();
  state.seconds += seconds;
  state.last_loss = result.loss;
  return measure(run, result, state, lr, seconds);
}

void log_now_and_then(Clockwork& clock, const StepMetrics& m) {
  constexpr double kSecondsBetweenLines = 5;
  const bool last = m.step == clock.run.recipe.steps;
  if (!m.validation_loss && !last && seconds_since(clock.last_line) < kSecondsBetweenLines) return;
  log_step(clock.run, m, clock.tokens_per_second());
  clock.last_line = Clock::now();
}

}  // namespace

void train(const Run& run, RunState& state, MetricsFile& metrics) {
  const Recipe& recipe = run.recipe;
  Clockwork clock{.run = run,
                  .state = state,
                  .metrics = metrics,
                  .windows = {static_cast<std::int64_t>(run.train.tokens.size()), recipe.sequence_length,
                              run.options.seed},
                  .schedule_row = schedule(run.options.schedule),
                  .saved = state,
                  .last_line = Clock::now() - std::chrono::hours(1)};
  if (run.valid && state.step == 0) {
    state.first_validation_loss = validation_loss(run);
    log_info(fmt::format("validation loss before the first step {:.4f}", *state.first_validation_loss));
  }
  while (state.step < recipe.steps) {
    StepMetrics m = advance(clock);
    if (run.valid && (state.step % recipe.validate_every == 0 || state.step == recipe.steps))
      state.last_validation_loss = m.validation_loss = validation_loss(run);
    metrics.append(m);
    log_now_and_then(clock, m);
    if (state.step % recipe.save_every == 0) {
      run.save(state);
      clock.saved = state;
    }
  }
}

}  // namespace regroup::uptrain
