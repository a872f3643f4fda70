// What a run will do, worked out before anything is done: the budget in steps, and a value for everything
// that was left to us. A pure function of the options, the model's shape and the length of the data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/family/model_config.h"
#include "uptrain/uptrain.h"

namespace regroup::uptrain {

struct Recipe {
  std::int64_t steps = 0;
  std::int64_t sequence_length = 0;
  std::int64_t batch = 0;        // windows a step
  std::int64_t micro_batch = 0;  // windows in one pass; at most, until memory is asked (uptrain/memory.h)
  bool recompute = false;        // of a layer only its input is kept for the backward pass
  double lr = 0;
  std::int64_t match_steps = 0;  // of `steps`, the first stage
  std::int64_t save_every = 0, validate_every = 0;
  std::string budget;  // the arithmetic behind `steps`, in words

  std::int64_t tokens_per_step() const { return batch * sequence_length; }
  std::int64_t tokens() const { return steps * tokens_per_step(); }
  // How often a state is saved at most, but for signals.
  std::int64_t most_saves(bool validates) const {
    return steps / save_every + (validates ? steps / validate_every : 0) + 1;
  }
};

// Peak learning rate by size: what the literature healed models of that size with. A model converted with
// calibration tokens gets 0.3 of it.
struct LearningRateRow {
  double up_to_parameters;
  double lr;
  std::string_view source;
};
std::span<const LearningRateRow> learning_rates();

// `pretraining_tokens` of the model's training_record.json; none if there is no such file or key.
std::optional<std::int64_t> recorded_pretraining_tokens(const std::filesystem::path& model);

// The regroup.json of `model`, null if it has none.
Json recorded_provenance(const std::filesystem::path& model);

// Calibration tokens that the conversion which made `model` looked at, by its regroup.json; 0 if it does not
// say, or if the model was uptrained since: that run's budget has paid for them.
std::int64_t calibration_tokens(const std::filesystem::path& model);

// Whether the last conversion of `model` looked at text, or tokens in its place, however often it was
// uptrained since.
bool converted_with_text(const std::filesystem::path& model);

// UserError when the budget is not given exactly once, is not positive or less than a step, when a fraction
// has nothing to be of, when sequence and batch do not fit each other or the model, or when the data is
// shorter than one window.
Recipe make_recipe(const UptrainOptions& options, const family::ModelConfig& config,
                   std::int64_t data_tokens);

// The values that decide the bytes of the result, by the names of their flags: a run is resumed only with the
// same ones.
Json deciding_options(const UptrainOptions& options, const Recipe& recipe);

}  // namespace regroup::uptrain
