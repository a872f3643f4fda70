#include "uptrain/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/units.h"
#include "uptrain/loss.h"
#include "uptrain/optimizer.h"
#include "uptrain/schedule.h"

namespace regroup::uptrain {
namespace {

constexpr std::int64_t kLongestDefaultSequence = 2048;
// Small steps spend a small budget better (docs/uptraining.md, "What mattered"): aim at this many of them …
constexpr std::int64_t kDesiredSteps = 200;
// … within what keeps matrix products efficient and gradients of large models calm.
constexpr std::int64_t kFewestBatchTokens = 1024, kMostBatchTokens = 512 * 1024;
// Enough rows for matrix products to run at full speed, few enough for activations to stay in the cache.
constexpr std::int64_t kMicroBatchTokens = 2048;
constexpr std::int64_t kSaves = 10, kValidations = 10;

constexpr std::array kLearningRates{
    LearningRateRow{3e7, 1e-3, "an independent study on a 5.9 M model"},
    LearningRateRow{3e8, 3e-4, "between its neighbours"},
    LearningRateRow{2e9, 1e-4, "MHA2MLA (2502.14837), a fifth to a third of the pre-training peak"},
    LearningRateRow{std::numeric_limits<double>::infinity(), 2e-5,
                    "TransMLA (2502.07864), Jin et al. (2412.20677): 1e-5 to 2e-5 at 7B"},
};

[[noreturn]] void fail(std::string where, std::string what, std::string remedy = "") {
  throw UserError({.where = std::move(where), .what = std::move(what), .remedy = std::move(remedy)});
}

void check_ranges(const UptrainOptions& options) {
  const auto require = [](bool good, std::string_view flag, std::string_view expected) {
    if (!good) throw UserError({.where = std::string(flag), .expected = std::string(expected)});
  };
  require(!options.tokens || *options.tokens > 0, "--tokens", "a positive number");
  require(!options.steps || *options.steps > 0, "--steps", "a positive number");
  require(!options.fraction || (*options.fraction > 0 && std::isfinite(*options.fraction)), "--fraction",
          "a positive share of the pre-training tokens, such as 0.05");
  require(!options.pretrain_tokens || *options.pretrain_tokens > 0, "--pretrain-tokens", "a positive number");
  require(options.lr >= 0 && std::isfinite(options.lr), "--lr", "a positive number");
  require(options.warmup >= 0 && options.warmup <= 1, "--warmup", "a share of the steps, 0 to 1");
  require(options.weight_decay >= 0 && std::isfinite(options.weight_decay), "--weight-decay", "0 or more");
  require(options.clip >= 0, "--clip", "0 (off) or more");
  require(options.temperature > 0 && std::isfinite(options.temperature), "--temperature",
          "a positive number");
  require(options.cross_entropy_share >= 0 && options.cross_entropy_share <= 1, "--cross-entropy-share",
          "a share, 0 to 1");
  require(options.match_fraction >= 0 && options.match_fraction <= 1, "--match-fraction",
          "a share of the steps, 0 to 1");
  require(options.kv_lr_multiplier >= 0 && std::isfinite(options.kv_lr_multiplier), "--kv-lr-multiplier",
          "0 or more");
  require(options.skip_outliers >= 0, "--skip-outliers", "0 (off) or more standard deviations");
  require(options.keep >= 1, "--keep", "at least 1");
  require(options.time_limit >= 0, "--time-limit", "0 (none) or more minutes");
  require(options.precision.empty() || options.precision == "bf16" || options.precision == "fp32",
          "--precision", "bf16 or fp32");
  require(options.sequence_length >= 0 && options.batch_tokens >= 0 && options.micro_batch >= 0 &&
              options.save_every >= 0 && options.validate_every >= 0,
          "--sequence-length, --batch-tokens, --micro-batch, --save-every, --validate-every",
          "positive numbers, or 0 for the default");
  require(options.finish == "last" || options.finish == "best", "--finish", "last or best");
  require(options.finish == "last" || !options.valid.empty(), "--finish best",
          "text to judge states by, as --valid");
  optimizer(options.optimizer);
  schedule(options.schedule);
}

// What a recipe that serves several runs may hold (--validate-every, --pretrain-tokens) is left alone.
void refuse_what_does_nothing(const UptrainOptions& options) {
  if (loss(options.loss, !options.teacher.empty()).name == "kl") return;
  const UptrainOptions unset;
  const auto refuse = [](bool given, const char* flag) {
    if (given) throw UserError({.where = flag, .what = "does nothing without --loss kl"});
  };
  refuse(options.temperature != unset.temperature, "--temperature");
  refuse(options.cross_entropy_share != unset.cross_entropy_share, "--cross-entropy-share");
}

// The budget in tokens before it is rounded to whole steps; none when it is given in steps.
std::optional<double> budget_tokens(const UptrainOptions& options, std::string& words) {
  if (int(options.tokens.has_value()) + options.steps.has_value() + options.fraction.has_value() != 1)
    fail("budget", "give exactly one of --tokens, --steps and --fraction",
         "Ainslie's recipe is --fraction 0.05: five percent of the pre-training");
  if (options.steps) return std::nullopt;
  if (options.tokens) {
    words = fmt::format("{} tokens", *options.tokens);
    return static_cast<double>(*options.tokens);
  }
  const auto recorded = recorded_pretraining_tokens(options.model);
  const auto base = options.pretrain_tokens ? options.pretrain_tokens : recorded;
  if (!base)
    fail("--fraction",
         fmt::format(
             "{} has no training_record.json with \"pretraining_tokens\", so there is nothing to take a "
             "fraction of",
             options.model.string()),
         "Give --pretrain-tokens N, or the budget itself with --tokens N");
  words = fmt::format("{} of {} pre-training tokens", *options.fraction, *base);
  const std::int64_t spent = calibration_tokens(options.model);
  if (spent > 0) words += fmt::format(" - {} that the conversion looked at", spent);
  return *options.fraction * static_cast<double>(*base) - static_cast<double>(spent);
}

std::int64_t default_batch_tokens(const std::optional<double>& budget, std::int64_t sequence_length) {
  if (!budget) return std::max<std::int64_t>(4096, sequence_length);
  const auto wanted = static_cast<std::uint64_t>(std::max(1.0, *budget / double(kDesiredSteps)));
  const auto power = static_cast<std::int64_t>(std::bit_floor(wanted));
  return std::max(std::clamp(power, kFewestBatchTokens, kMostBatchTokens), sequence_length);
}

std::int64_t resolve_batch(const UptrainOptions& options, const std::optional<double>& budget,
                           std::int64_t sequence_length) {
  if (options.batch_tokens == 0) return default_batch_tokens(budget, sequence_length) / sequence_length;
  if (options.batch_tokens % sequence_length != 0)
    throw UserError({.where = "--batch-tokens",
                     .expected = fmt::format("a multiple of the sequence length {}", sequence_length),
                     .found = std::to_string(options.batch_tokens)});
  return options.batch_tokens / sequence_length;
}

std::string files_of(const std::vector<std::filesystem::path>& data) {
  std::vector<std::string> names;
  for (const std::filesystem::path& file : data) names.push_back(file.string());
  return list_some(names);
}

std::int64_t resolve_sequence_length(const UptrainOptions& options, const family::ModelConfig& config,
                                     std::int64_t data_tokens) {
  const std::int64_t length = options.sequence_length
                                  ? options.sequence_length
                                  : std::min(config.max_positions, kLongestDefaultSequence);
  if (length > config.max_positions)
    throw UserError({.where = "--sequence-length",
                     .expected = fmt::format("at most the model's {} positions", config.max_positions),
                     .found = std::to_string(length)});
  if (data_tokens <= length)
    throw UserError({.where = files_of(options.data),
                     .what = "too short to train on",
                     .expected = fmt::format("at least one window of {} tokens and a next one", length),
                     .found = fmt::format("{} tokens", data_tokens),
                     .remedy = "Give more text or a shorter --sequence-length"});
  return length;
}

std::int64_t calibration_in(const Json& record) {
  const Json::json_pointer text("/result/calibration");
  if (!record.contains(text)) return 0;
  return record[text].value("windows", std::int64_t{0}) *
         record[text].value("tokens_of_a_window", std::int64_t{0});
}

// Every record holds the one of what it was made from.
Json last_conversion(Json record) {
  const Json::json_pointer earlier("/source/provenance");
  while (record.contains(earlier) && record.value("command", "") != "convert") record = Json(record[earlier]);
  return record;
}

// Whole steps that the budget pays for.
void resolve_steps(const UptrainOptions& options, const std::optional<double>& budget, Recipe& recipe) {
  const std::int64_t per_step = recipe.tokens_per_step();
  if (options.steps) {
    if (*options.steps > std::numeric_limits<std::int64_t>::max() / per_step)
      throw UserError({.where = "--steps",
                       .expected = fmt::format("tokens that can be counted, {} a step", per_step),
                       .found = std::to_string(*options.steps)});
    recipe.steps = *options.steps;
    recipe.budget = fmt::format("{} steps x {} tokens = {} tokens", recipe.steps, per_step, recipe.tokens());
    return;
  }
  recipe.steps = static_cast<std::int64_t>(*budget / static_cast<double>(per_step));
  if (recipe.steps <= 0)
    throw UserError({.where = "budget",
                     .expected = fmt::format("at least one step of {} tokens", per_step),
                     .found = recipe.budget,
                     .remedy = "Give a larger budget or a smaller --batch-tokens"});
  recipe.budget = fmt::format("{} = {:.0f} tokens: {} whole steps x {} tokens = {} tokens", recipe.budget,
                              *budget, recipe.steps, per_step, recipe.tokens());
}

// A model that was converted with calibration tokens lost little, and has little to gain from large steps.
constexpr double kShareAfterCalibration = 0.3;

double default_lr(const family::ModelConfig& config, bool calibrated) {
  const auto parameters = static_cast<double>(family::matmul_parameters(config));
  const auto row = std::ranges::find_if(
      kLearningRates, [&](const LearningRateRow& each) { return parameters <= each.up_to_parameters; });
  return row->lr * (calibrated ? kShareAfterCalibration : 1);
}

}  // namespace

std::span<const LearningRateRow> learning_rates() {
  return kLearningRates;
}

std::optional<std::int64_t> recorded_pretraining_tokens(const std::filesystem::path& model) {
  const auto path = model / "training_record.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json record = read_json(path);
  if (!record.is_object() || !record.contains("pretraining_tokens")) return std::nullopt;
  const Json& tokens = record["pretraining_tokens"];
  if (!tokens.is_number_integer() || tokens.get<std::int64_t>() <= 0)
    throw UserError({.where = path.string(),
                     .what = "pretraining_tokens",
                     .expected = "a positive whole number",
                     .found = tokens.dump()});
  return tokens.get<std::int64_t>();
}

Json recorded_provenance(const std::filesystem::path& model) {
  const auto path = model / "regroup.json";
  return std::filesystem::exists(path) ? read_json(path) : Json();
}

std::int64_t calibration_tokens(const std::filesystem::path& model) {
  return calibration_in(recorded_provenance(model));
}

bool converted_with_text(const std::filesystem::path& model) {
  return calibration_in(last_conversion(recorded_provenance(model))) > 0;
}

Recipe make_recipe(const UptrainOptions& options, const family::ModelConfig& config,
                   std::int64_t data_tokens) {
  check_ranges(options);
  refuse_what_does_nothing(options);
  const auto given_or = [](std::int64_t given, std::int64_t chosen) {
    return given > 0 ? given : std::max<std::int64_t>(1, chosen);
  };
  Recipe recipe;
  const std::optional<double> budget = budget_tokens(options, recipe.budget);
  recipe.sequence_length = resolve_sequence_length(options, config, data_tokens);
  recipe.batch = resolve_batch(options, budget, recipe.sequence_length);
  resolve_steps(options, budget, recipe);
  recipe.micro_batch =
      std::min(recipe.batch, given_or(options.micro_batch, kMicroBatchTokens / recipe.sequence_length));
  recipe.recompute = options.recompute;
  recipe.match_steps = std::llround(options.match_fraction * static_cast<double>(recipe.steps));
  recipe.lr = options.lr > 0 ? options.lr : default_lr(config, converted_with_text(options.model));
  recipe.save_every = given_or(options.save_every, recipe.steps / kSaves);
  recipe.validate_every = given_or(options.validate_every, recipe.steps / kValidations);
  return recipe;
}

Json deciding_options(const UptrainOptions& options, const Recipe& recipe) {
  Json json;
  json["steps"] = recipe.steps;
  json["sequence-length"] = recipe.sequence_length;
  json["batch-tokens"] = recipe.tokens_per_step();
  json["micro-batch"] = recipe.micro_batch;
  json["optimizer"] = options.optimizer;
  json["lr"] = recipe.lr;
  json["loss"] = loss(options.loss, !options.teacher.empty()).name;
  json["temperature"] = options.temperature;
  json["cross-entropy-share"] = options.cross_entropy_share;
  json["match-fraction"] = options.match_fraction;
  json["train"] = options.train;
  json["freeze-embeddings"] = options.freeze_embeddings;
  json["kv-lr-multiplier"] = options.kv_lr_multiplier;
  json["skip-outliers"] = options.skip_outliers;
  json["schedule"] = options.schedule;
  json["warmup"] = options.warmup;
  json["precision"] = options.precision;
  json["weight-decay"] = options.weight_decay;
  json["clip"] = options.clip;
  json["validate-every"] = recipe.validate_every;
  json["data-weights"] = options.data_weights;
  json["documents"] = options.documents;
  json["no-bos"] = options.no_bos;
  json["data-format"] = options.data_format;
  json["device"] = options.device;
  json["seed"] = options.seed;
  return json;
}

}  // namespace regroup::uptrain
