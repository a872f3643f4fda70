#include "convert/convert.h"

#include <fmt/format.h>

#include <chrono>

#include "convert/calibrated_merge.h"
#include "convert/execute.h"
#include "convert/fingerprint.h"
#include "convert/kept_tokens.h"
#include "convert/merge_method.h"
#include "convert/provenance.h"
#include "core/base/error.h"
#include "core/base/output_file.h"
#include "core/base/table.h"
#include "core/base/units.h"
#include "core/checkpoint/carry.h"
#include "core/checkpoint/output.h"
#include "core/model/tied_copy.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::convert {
namespace {

// A result never takes the place of what it was made from.
void require_another_place(const ConvertOptions& options, const MergeRecipe& recipe) {
  std::vector<std::filesystem::path> inputs = options.calibration.files;
  inputs.push_back(options.model);
  if (!recipe.given.empty()) inputs.emplace_back(options.plan.grouping);
  require_apart(options.output, inputs);
}

bool looks_at_tokens(const Plan& plan) {
  return plan.merges && plan.options.evidence != Evidence::kWeights;
}

// Weights, carried files, and layers that wait to be written; the rest is a few kilobytes.
std::uint64_t written_bytes(const family::ModelDirectory& model, const Plan& plan) {
  std::uint64_t bytes = plan.output_bytes();
  if (looks_at_tokens(plan)) bytes += layer_file_bytes(model, plan.options.kv_heads);
  for (const auto& file : plan.carried) bytes += std::filesystem::file_size(file.from);
  return bytes;
}

MergeRecipe make_recipe(const family::ModelDirectory& model, const Plan& plan, std::uint64_t seed) {
  MergeRecipe recipe{.method = &merge_method(plan.options.method),
                     .groups = plan.options.kv_heads,
                     .by_cost = plan.options.grouping == "cost",
                     .grouping_seconds = plan.options.grouping_seconds,
                     .layers = model.config.layers,
                     .initializer_range = model.config.initializer_range,
                     .seed = seed,
                     .moves = plan.target.home != nullptr};
  const std::string& grouping = plan.options.grouping;
  if (grouping == "cost" || grouping == "contiguous") return recipe;
  if (!std::filesystem::exists(grouping))
    throw UserError({.where = "--grouping",
                     .what = "no such grouping, and no file of that name",
                     .expected = "contiguous, cost, or a JSON file of groups",
                     .found = fmt::format("'{}'", grouping)});
  recipe.given = read_groups(grouping, model.config.layers, model.config.kv_heads, recipe.groups);
  return recipe;
}

PlanOptions plan_options(const ConvertOptions& options) {
  PlanOptions plan = options.plan;
  plan.evidence = asked_evidence(options.calibration);
  return plan;
}

// An option that would change nothing is refused, not ignored.
void require_options_used(const ConvertOptions& options, const Plan& plan) {
  const CalibrationOptions& asked = options.calibration;
  const auto refuse = [](bool given, const char* flag, const std::string& what) {
    if (given) throw UserError({.where = flag, .what = what, .remedy = "Leave it out"});
  };
  if (!plan.merges) {
    const std::string nothing = "nothing is merged: the model keeps all its key/value heads";
    refuse(!asked.files.empty(), "--calibration", nothing);
    refuse(asked.generate, "--generate-calibration", nothing);
    refuse(!options.plan.refit.empty() && options.plan.refit != "none", "--refit", nothing);
  }
  if (!looks_at_tokens(plan)) {
    const std::string none = plan.merges
                                 ? fmt::format("method {} looks at no tokens here", plan.options.method)
                                 : "nothing is merged, so that no tokens are looked at";
    refuse(asked.tokens != 0, "--calibration-tokens", none);
    refuse(asked.first_position_weight != CalibrationOptions().first_position_weight,
           "--first-position-weight", none);
    refuse(asked.memory.has_value(), "--memory", none);
  }
  if (plan.merges)
    refuse(plan.options.grouping != "cost" && options.plan.grouping_seconds != PlanOptions().grouping_seconds,
           "--grouping-seconds",
           fmt::format("with --grouping {} none are searched for", plan.options.grouping));
  if (asked.files.empty()) {
    refuse(asked.format != CalibrationOptions().format, "--calibration-format", "no text is read");
    refuse(!asked.document_start, "--no-bos", "no text is read");
  }
}

// A hidden sibling of the output: what a killed run has made outlives it there.
std::filesystem::path work_path(std::filesystem::path output, std::string_view what) {
  if (output.filename().empty()) output = output.parent_path();
  return output.parent_path() / fmt::format(".{}.{}", output.filename().string(), what);
}

std::filesystem::path layers_path(const ConvertOptions& options) {
  return work_path(options.output, "layers");
}

std::filesystem::path tokens_path(const ConvertOptions& options) {
  return work_path(options.output, "tokens");
}

using Make = CalibrationTokens (*)(const family::ModelDirectory& model, const CalibrationOptions& options,
                                   const std::string& device, std::uint64_t seed);

CalibrationTokens made_tokens(const family::ModelDirectory& model, Evidence evidence,
                              const ConvertOptions& options, Make make) {
  Json recipe = fingerprint(model, options.device);
  recipe["evidence"] = evidence_name(evidence);
  recipe["windows"] = made_windows(options.calibration, calibration_window(model));
  recipe["seed"] = options.seed;
  return kept_tokens(tokens_path(options), recipe,
                     [&] { return make(model, options.calibration, options.device, options.seed); });
}

// None where weights alone say how to merge, or nothing is merged.
std::optional<CalibrationTokens> calibration_tokens(const family::ModelDirectory& model, const Plan& plan,
                                                    const ConvertOptions& options) {
  if (!looks_at_tokens(plan)) return std::nullopt;
  switch (plan.options.evidence) {
    case Evidence::kWeights:
      return std::nullopt;
    case Evidence::kDrawn:
      return made_tokens(model, Evidence::kDrawn, options, draw_calibration);
    case Evidence::kOwnText:
      return made_tokens(model, Evidence::kOwnText, options, generate_calibration);
    case Evidence::kText:
      return read_calibration(model, options.calibration, options.seed);
  }
  check(false, "an Evidence without tokens");
  return std::nullopt;
}

MergedLayers merged_layers(const family::ModelDirectory& model, const Plan& plan, const MergeRecipe& recipe,
                           const ConvertOptions& options, const std::optional<CalibrationTokens>& tokens) {
  if (!tokens) return merged_from_weights(model, recipe);
  return merged_from_tokens(model,
                            {.merge = recipe,
                             .options = options.calibration,
                             .refits = parse_refits(plan.options.refit),
                             .dtype = options.plan.dtype,
                             .device = options.device},
                            *tokens, layers_path(options));
}

// How texts become documents for this model, or why they cannot: said before a person trains on them.
std::string tokenizer_line(const std::filesystem::path& model) {
  try {
    const auto tokenizer = tokenizer::open_tokenizer(model);
    const auto start = tokenizer->document_start();
    return fmt::format("{} pieces; documents, apart at lines holding only <|endoftext|>, start with {}",
                       tokenizer->vocab_size(),
                       start ? fmt::format("id {}", *start) : std::string("nothing"));
  } catch (const std::exception& error) {
    return fmt::format("none that can be read ({})", error.what());
  }
}

}  // namespace

std::string describe(const ConvertOptions& options) {
  const family::ModelDirectory model = family::open_model(options.model);
  const Plan plan = make_plan(model, plan_options(options));
  make_recipe(model, plan, options.seed);
  require_options_used(options, plan);
  return plan_text(model, plan) + fmt::format("{:<16}{}\n", "tokenizer", tokenizer_line(options.model));
}

std::string convert(const ConvertOptions& asked, const Json& resolved) {
  ConvertOptions options = asked;
  const auto start = std::chrono::steady_clock::now();
  const family::ModelDirectory model = family::open_model(options.model);
  const Plan plan = make_plan(model, plan_options(options));
  const MergeRecipe recipe = make_recipe(model, plan, options.seed);
  require_options_used(options, plan);
  require_another_place(options, recipe);
  model::check_tied_copy(model);
  checkpoint::OutputDirectory output(options.output, options.overwrite);
  output.require_space(written_bytes(model, plan));
  options.calibration.scratch = output.partial();
  const std::optional<CalibrationTokens> tokens = calibration_tokens(model, plan, options);
  MergedLayers layers = merged_layers(model, plan, recipe, options, tokens);
  const Executed executed = execute_plan(model, plan, layers, output.partial());
  write_text(output.partial() / "config.json", !plan.merges && !plan.options.dtype && !plan.target.home
                                                   ? model.config_text
                                                   : to_text(plan.config_json));
  for (const auto& file : plan.carried) checkpoint::copy_file_synced(file.from, output.partial() / file.name);
  write_text(output.partial() / kProvenanceFile,
             to_text(provenance(model, plan, tokens ? &*tokens : nullptr, layers, executed, resolved)));
  write_text(output.partial() / kCardFile, model_card(model, plan, tokens ? &*tokens : nullptr, executed));
  output.commit();
  if (tokens) std::filesystem::remove_all(layers_path(options));
  if (tokens && plan.options.evidence != Evidence::kText) std::filesystem::remove(tokens_path(options));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::string summary = plan_text(model, plan) +
                        fmt::format("{:<16}{} in {:.1f} s\n", "written", options.output.string(), seconds);
  if (plan.merges &&
      (plan.options.evidence == Evidence::kWeights || plan.options.evidence == Evidence::kDrawn))
    summary += fmt::format("{:<16}{}\n", "loses less",
                           "with text like the model's own (--calibration FILES), or that it writes itself "
                           "(--generate-calibration)");
  return summary;
}

std::vector<std::string> method_names() {
  return names_of(merge_methods());
}

std::string method_help() {
  std::string text;
  for (const MergeMethod& method : merge_methods())
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", method.name, method.summary);
  return text;
}

std::string refit_help() {
  std::string text;
  for (const Refit& refit : refits())
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", refit.name, refit.summary);
  return text;
}

std::string_view best_refit() {
  return kBestRefit;
}

}  // namespace regroup::convert
