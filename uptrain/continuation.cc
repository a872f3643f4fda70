#include "uptrain/continuation.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/log.h"
#include "uptrain/made_by.h"
#include "uptrain/schedule.h"

namespace regroup::uptrain {
namespace {

// Whether the recipe has other steps than the saved run; UserError where they may not be others.
bool extends(const SavedState& saved, const UptrainOptions& options, const Recipe& recipe) {
  const auto steps = saved.must_match().value("steps", std::int64_t{0});
  if (steps == recipe.steps) return false;
  const std::string where = saved.directory.string();
  if (recipe.steps <= saved.step())
    throw UserError({.where = where,
                     .what = fmt::format("{} steps are done already", saved.step()),
                     .expected = "a budget of more than these",
                     .found = fmt::format("{} steps", recipe.steps)});
  const Course before{.steps = steps,
                      .warmup = options.warmup,
                      .extended_at = saved.json.value("extended_at", std::int64_t{0})};
  const auto matching = saved.json.at("match_steps").get<std::int64_t>();
  if (saved.step() >= matching && at_peak(schedule(options.schedule), saved.step(), before)) return true;
  throw UserError(
      {.where = where,
       .what = fmt::format("steps was {}, is {}, and the learning rate is not at its peak after step {}",
                           steps, recipe.steps, saved.step()),
       .remedy = "A budget is changed in the constant part of --schedule 1-sqrt, after warm-up and matching. "
                 "Give the same budget, remove newer states to go on from an older one, or start anew with "
                 "--overwrite"});
}

void warn_of_another_maker(const SavedState& saved) {
  std::vector<std::string> differences;
  const Json now = made_by();
  for (const auto& [what, was] : saved.json.at("made_by").items())
    if (was != now[what])
      differences.push_back(fmt::format("{} was {}, is {}", what, was.dump(), now[what].dump()));
  if (differences.empty()) return;
  log_warning(fmt::format("the run goes on elsewhere than it began, not to the same bytes: {}",
                          list_some(differences)));
}

constexpr std::array kChangeable{"lr", "clip", "skip-outliers"};

// `saved` as if it had been started with what `must_match` changes, and a record of each change.
SavedState with_changes(SavedState saved, const Json& must_match) {
  Json before = saved.must_match(), changes = saved.json.value("changes", Json::array());
  for (const char* option : kChangeable) {
    const Json &was = before.at(option), &is = must_match.at(option);
    if (was == is) continue;
    log_warning(
        fmt::format("{} was {}, after step {} it is {}", option, was.dump(), saved.step(), is.dump()));
    changes.push_back({{"after_step", saved.step()}, {"option", option}, {"was", was}, {"is", is}});
    before[option] = is;
  }
  if (changes.empty()) return saved;
  saved.json["must_match"] = before;
  saved.json["changes"] = changes;
  return saved;
}

}  // namespace

UptrainOptions with_choices_of(const SavedState& saved, UptrainOptions options) {
  const Json& before = saved.must_match();
  const auto keep = [&before](auto& value, const char* name) {
    if (value == 0 && before.contains(name)) before[name].get_to(value);
  };
  keep(options.sequence_length, "sequence-length");
  keep(options.batch_tokens, "batch-tokens");
  keep(options.micro_batch, "micro-batch");
  keep(options.validate_every, "validate-every");
  keep(options.lr, "lr");
  options.recompute = options.recompute || saved.json.value("recompute", false);
  return options;
}

RunState continued(const SavedState& saved, const UptrainOptions& options, const Recipe& recipe,
                   const Json& must_match, Parameters& parameters, const WeightNames& names) {
  warn_of_another_maker(saved);
  SavedState renewed = with_changes(saved, must_match);
  if (extends(saved, options, recipe)) {
    renewed.json["must_match"]["steps"] = recipe.steps;
    renewed.json["extended_at"] = saved.step();
    log_info(fmt::format("the budget was {} steps, from step {} on it is {}",
                         saved.must_match()["steps"].dump(), saved.step(), recipe.steps));
  }
  return read_state(renewed, must_match, parameters, names);
}

}  // namespace regroup::uptrain
