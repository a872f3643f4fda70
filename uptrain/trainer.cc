#include "uptrain/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/units.h"
#include "core/model/recompute.h"
#include "uptrain/flops.h"
#include "uptrain/interrupt.h"
#include "uptrain/schedule.h"
#include "uptrain/step.h"
#include "uptrain/validation.h"

namespace regroup::uptrain {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kInfinite = std::numeric_limits<double>::infinity();

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The windows of step `step` (from 1): a pure function of the seed, so that a resumed run reads the same
// ones.
Batch batch_of(const Run& run, std::int64_t step) {
  const std::int64_t count = run.recipe.batch, length = run.recipe.sequence_length;
  const at::Tensor inputs_BT = at::empty({count, length}, at::kLong), targets_BT = at::empty_like(inputs_BT);
  const auto row = [&](const at::Tensor& of, std::int64_t i) {
    return std::span(of.mutable_data_ptr<std::int64_t>() + i * length, static_cast<std::size_t>(length));
  };
  Batch batch;
  for (std::int64_t i = 0; i < count; ++i) {
    const data::Window window = run.windows.at((step - 1) * count + i);
    const data::DocumentRule& rule = run.windows.rule();
    data::copy_window(run.train, window, rule, row(inputs_BT, i), row(targets_BT, i));
    if (rule.masked)
      batch.documents.push_back(data::document_pieces(run.train.document_starts, window, length));
  }
  batch.inputs_BT = inputs_BT.to(run.device);
  batch.targets_BT = targets_BT.to(run.device);
  return batch;
}

double held_out_loss(const Run& run) {
  return validation_loss(run.student, *run.valid, run.valid_windows, run.recipe.micro_batch);
}

[[noreturn]] void stop_not_finite(const StepMeasures& measures, std::int64_t step, const RunState& saved) {
  throw UserError(
      {.where = fmt::format("step {}", step),
       .what = fmt::format(
           "loss {} and gradient norm {} are not both finite; the last good state is {}",
           measures.mean.objective, measures.gradient_norm,
           saved.step > 0 ? fmt::format("that of step {}", saved.step) : "the model it began with"),
       .remedy = "Go on from it with --resume and a smaller --lr or --clip, or with --skip-outliers"});
}

[[noreturn]] void stop_not_measurable(const RunState& state) {
  constexpr const char* kWhat = "the loss of a held-out token is not finite";
  if (state.step == 0)
    throw UserError({.where = "validation before the first step",
                     .what = kWhat,
                     .remedy = "Give --precision fp32, or look at the model's weights"});
  throw UserError({.where = fmt::format("validation after step {}", state.step),
                   .what = fmt::format("{}; the state is saved", kWhat),
                   .remedy =
                       "Go on with --resume and a smaller --lr or --clip, from an older state if there "
                       "is no going on from this one (remove it), or start anew with --precision fp32"});
}

// FLOPs of one step's tokens.
double step_flops(const Run& run, const Loss& loss) {
  const model::Decoder* teacher = run.teacher;
  const Work work{.student = run.student.config(),
                  .teacher = teacher ? &teacher->config() : nullptr,
                  .sequence_length = run.recipe.sequence_length,
                  .frozen = frozen_weights(run.parameters, run.student.config())};
  return static_cast<double>(run.recipe.tokens_per_step()) * flops_per_token(work, loss);
}

StepMetrics describe(const Run& run, const Loss& loss, const StepMeasures& measures, const RunState& state,
                     double lr, double seconds) {
  const auto tokens = static_cast<double>(run.recipe.tokens_per_step());
  StepMetrics m{.step = state.step,
                .tokens = state.tokens,
                .loss = loss.sees_logits ? measures.mean.cross_entropy : measures.mean.objective,
                .learning_rate = lr,
                .gradient_norm = measures.gradient_norm,
                .tokens_per_second = tokens / seconds,
                .mfu = step_flops(run, loss) / seconds / run.peak_flops,
                .seconds = seconds,
                .matching = !loss.sees_logits};
  if (loss.needs_teacher && loss.sees_logits) m.kl = measures.mean.divergence;
  return m;
}

void log_step(const Run& run, const StepMetrics& m, double tokens_per_second) {
  const double left = double(run.recipe.tokens() - m.tokens) / tokens_per_second;
  log_info(fmt::format(
      "step {}/{}  {} {:.4f}{}  lr {:.2e}  gradient norm {:.3f}  {} tokens/s  MFU {:.1f}%  {} left{}{}",
      m.step, run.recipe.steps, m.matching ? "error of attention outputs" : "loss", m.loss,
      m.kl ? fmt::format("  KL to the teacher {:.4f}", *m.kl) : "", m.learning_rate, m.gradient_norm,
      human_count(m.tokens_per_second), 100 * m.mfu, human_seconds(left),
      m.skipped ? "  skipped: it stands out" : "",
      m.validation_loss ? fmt::format("  validation {:.4f}", *m.validation_loss) : ""));
}

// Where a run is, and what it has to show for it.
struct Clockwork {
  const Run& run;
  RunState& state;
  MetricsFile& metrics;
  const Schedule& schedule_row;
  RunState saved;  // the last state that is on the disk
  std::int64_t steps_here = 0;
  double seconds_here = 0;
  Clock::time_point last_line;

  double tokens_per_second() const {
    return double(steps_here * run.recipe.tokens_per_step()) / seconds_here;
  }
};

const Loss& loss_of(const Run& run, std::int64_t step) {
  return step < run.recipe.match_steps ? matching_loss() : loss(run.options.loss, run.teacher != nullptr);
}

StepMetrics advance(Clockwork& clock) {
  const Run& run = clock.run;
  const UptrainOptions& options = run.options;
  RunState& state = clock.state;
  const auto start = Clock::now();
  const Loss& loss = loss_of(run, state.step);
  const Objective objective{.loss = &loss,
                            .teacher = run.teacher,
                            .distillation = {.temperature = options.temperature,
                                             .cross_entropy_share = options.cross_entropy_share}};
  const StepSettings settings{.step = state.step + 1,
                              .micro_batch = run.recipe.micro_batch,
                              .clip = options.clip,
                              .optimizer = {.lr = learning_rate(clock.schedule_row, run.recipe.lr, state.step,
                                                                {.steps = run.recipe.steps,
                                                                 .warmup = options.warmup,
                                                                 .extended_at = state.extended_at}),
                                            .weight_decay = options.weight_decay}};
  const StepMeasures measures = measure_gradients(run.student, run.parameters, objective,
                                                  batch_of(run, settings.step), settings.micro_batch);
  if (!measures.finite()) stop_not_finite(measures, settings.step, clock.saved);
  if (state.step == run.recipe.match_steps) state.outliers.forget();
  const double judged = measures.mean.objective;
  const bool skipped = state.outliers.skips(judged, measures.gradient_norm, options.skip_outliers);
  if (!skipped) update_weights(run.parameters, measures, settings);
  const double seconds = seconds_since(start);
  clock.steps_here += 1;
  clock.seconds_here += seconds;
  state.step += 1;
  state.tokens += run.recipe.tokens_per_step();
  state.seconds += seconds;
  StepMetrics metrics = describe(run, loss, measures, state, settings.optimizer.lr, seconds);
  metrics.skipped = skipped;
  state.last_loss = metrics.loss;
  return metrics;
}

void log_now_and_then(Clockwork& clock, const StepMetrics& m) {
  constexpr double kSecondsBetweenLines = 5;
  const bool last = m.step == clock.run.recipe.steps;
  if (!m.validation_loss && !m.skipped && !last && seconds_since(clock.last_line) < kSecondsBetweenLines)
    return;
  log_step(clock.run, m, clock.tokens_per_second());
  clock.last_line = Clock::now();
}

void validate_before_first_step(const Run& run, RunState& state) {
  const double loss = held_out_loss(run);
  if (!std::isfinite(loss)) stop_not_measurable(state);
  state.first_validation_loss = loss;
  log_info(fmt::format("validation loss before the first step {:.4f}", loss));
}

// False if the loss is not finite.
bool validate(const Run& run, RunState& state, StepMetrics& m) {
  const double loss = held_out_loss(run);
  if (!std::isfinite(loss)) return false;
  state.last_validation_loss = m.validation_loss = loss;
  state.validated_step = state.step;
  return true;
}

// Whether what was just measured is the least loss of the run; remembers it.
bool is_best(RunState& state, const StepMetrics& m) {
  if (!m.validation_loss || m.validation_loss >= state.least_validation_loss.value_or(kInfinite))
    return false;
  state.least_validation_loss = m.validation_loss;
  return true;
}

}  // namespace

double flops_of(const Run& run, std::int64_t steps) {
  const std::int64_t matching = std::min(steps, run.recipe.match_steps);
  const double first = matching > 0 ? step_flops(run, matching_loss()) : 0;
  return static_cast<double>(matching) * first +
         static_cast<double>(steps - matching) *
             step_flops(run, loss(run.options.loss, run.teacher != nullptr));
}

bool train(const Run& run, RunState& state, MetricsFile& metrics) {
  const Recipe& recipe = run.recipe;
  const Interrupt interrupt;
  const model::RecomputeGuard recompute(recipe.recompute);
  Clockwork clock{.run = run,
                  .state = state,
                  .metrics = metrics,
                  .schedule_row = schedule(run.options.schedule),
                  .saved = state,
                  .last_line = Clock::now() - std::chrono::hours(1)};
  if (run.valid && state.step == 0) validate_before_first_step(run, state);
  while (state.step < recipe.steps) {
    StepMetrics m = advance(clock);
    const bool validates =
        run.valid && (state.step % recipe.validate_every == 0 || state.step == recipe.steps);
    const bool measurable = !validates || validate(run, state, m);
    const bool best = is_best(state, m);
    metrics.append(m);
    log_now_and_then(clock, m);
    const bool late = run.options.time_limit > 0 && seconds_since(run.started) > 60 * run.options.time_limit;
    const bool stop = state.step < recipe.steps && (late || interrupt.requested());
    // After the last step too: finishing the model may fail.
    if (state.step % recipe.save_every == 0 || state.step == recipe.steps || stop || best || !measurable) {
      run.save(state);
      clock.saved = state;
    }
    if (!measurable) stop_not_measurable(state);
    if (stop) return false;
  }
  return true;
}

}  // namespace regroup::uptrain
