#include "uptrain/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/checkpoint/output.h"
#include "core/checkpoint/safetensors.h"
#include "core/model/stored.h"
#include "uptrain/made_by.h"

namespace regroup::uptrain {
namespace {

constexpr std::string_view kTensorFile = "state.safetensors", kStateFile = "state.json", kPrefix = "step-";
constexpr int kFormat = 3;

struct Kind {
  std::string_view name;
  at::Tensor (Parameters::*tensor)(const Slot&) const;
  bool of(const Slot& slot) const {
    if (tensor == &Parameters::master) return true;
    return slot.treatment.trained && (tensor == &Parameters::first_moment || slot.rule == UpdateRule::kAdamW);
  }
};
constexpr std::array kKinds{Kind{"master", &Parameters::master},
                            Kind{"first_moment", &Parameters::first_moment},
                            Kind{"second_moment", &Parameters::second_moment}};

std::vector<checkpoint::TensorInfo> tensor_list(const Parameters& parameters, const WeightNames& names) {
  std::vector<checkpoint::TensorInfo> tensors;
  for (const Kind& kind : kKinds)
    for (const Slot& slot : parameters.slots())
      if (kind.of(slot))
        tensors.push_back({.name = fmt::format("{}/{}", kind.name, names.at(slot.key)),
                           .dtype = checkpoint::DType::kF32,
                           .shape = slot.shape});
  return tensors;
}

std::string write_tensors(const std::filesystem::path& path, const Parameters& parameters,
                          const WeightNames& names) {
  checkpoint::SafetensorsWriter writer(path, tensor_list(parameters, names), {});
  for (const Kind& kind : kKinds)
    for (const Slot& slot : parameters.slots()) {
      if (!kind.of(slot)) continue;
      writer.append(model::bytes_of((parameters.*kind.tensor)(slot).cpu()));
    }
  return writer.finish();
}

void read_tensors(const std::filesystem::path& path, Parameters& parameters, const WeightNames& names) {
  const checkpoint::TensorFile reader = checkpoint::open_safetensors(path);
  std::map<std::string_view, const checkpoint::TensorInfo*> stored;
  for (const checkpoint::TensorInfo& info : reader.header().tensors) stored[info.name] = &info;
  for (const Kind& kind : kKinds)
    for (const Slot& slot : parameters.slots()) {
      if (!kind.of(slot)) continue;
      const auto found = stored.find(fmt::format("{}/{}", kind.name, names.at(slot.key)));
      check(found != stored.end() && found->second->shape == slot.shape, "a whole state holds every weight");
      at::Tensor target = (parameters.*kind.tensor)(slot);
      at::Tensor tensor =
          target.is_cpu() ? target : at::empty(target.sizes(), target.options().device(at::kCPU));
      reader.read(*found->second, 0, model::bytes_of(tensor));
      if (!target.is_cpu()) target.copy_(tensor);
    }
  parameters.refresh_compute();
}

// The number after "step-", or none.
std::optional<std::int64_t> step_of(const std::filesystem::path& directory) {
  const std::string name = directory.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && stop == end ? std::optional(step) : std::nullopt;
}

// Why a state cannot be used; empty if it is whole.
std::string defect(const std::filesystem::path& directory) {
  try {
    const Json json = read_json(directory / kStateFile);
    if (json.at("format") != kFormat) return fmt::format("format {}", json.at("format").dump());
    if (json.at("sha256") != sha256_of_file(directory / kTensorFile))
      return "its bytes are not those that were saved";
  } catch (const UserError& error) {
    return error.what();
  } catch (const Json::exception& error) {
    return error.what();
  }
  return "";
}

// Infinite where none was measured at that step, or the state is damaged.
double validation_loss_of(const std::filesystem::path& directory) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  try {
    const Json json = read_json(directory / kStateFile);
    return json.value("validated_step", std::int64_t{-1}) == json.at("step")
               ? json.at("last_validation_loss").get<double>()
               : kNone;
  } catch (const UserError&) {
    return kNone;
  } catch (const Json::exception&) {
    return kNone;
  }
}

// The first of these that is whole; the others are passed over with a warning.
std::optional<SavedState> first_whole(const std::vector<std::filesystem::path>& states) {
  for (const auto& directory : states) {
    const std::string reason = defect(directory);
    if (reason.empty()) return SavedState{.directory = directory, .json = read_json(directory / kStateFile)};
    log_warning(fmt::format("{} is passed over: {}", directory.string(), reason));
  }
  return std::nullopt;
}

void refuse_changes(const Json& saved, const Json& now, const std::filesystem::path& directory) {
  std::vector<std::string> changes;
  for (const auto& [key, value] : now.items())
    if (!saved.contains(key) || saved[key] != value)
      changes.push_back(fmt::format("{} was {}, is {}", key,
                                    saved.contains(key) ? saved[key].dump() : "not there", value.dump()));
  if (changes.empty()) return;
  throw UserError({.where = directory.string(),
                   .what = "a run is resumed only with what it was started with: " + list_some(changes),
                   .remedy = "Give the same values, or start anew with --overwrite"});
}

}  // namespace

void add_progress(Json& json, const RunState& state) {
  json["tokens"] = state.tokens;
  json["seconds"] = state.seconds;
  json["last_loss"] = state.last_loss;
  if (state.extended_at > 0) json["extended_at"] = state.extended_at;
  if (!state.changes.empty()) json["changes"] = state.changes;
  if (state.first_validation_loss) json["first_validation_loss"] = *state.first_validation_loss;
  if (state.least_validation_loss) json["least_validation_loss"] = *state.least_validation_loss;
  if (!state.last_validation_loss) return;
  json["last_validation_loss"] = *state.last_validation_loss;
  json["validated_step"] = state.validated_step;
}

std::vector<std::filesystem::path> saved_states(const std::filesystem::path& checkpoints) {
  std::vector<std::pair<std::int64_t, std::filesystem::path>> found;
  if (std::filesystem::is_directory(checkpoints))
    for (const auto& entry : std::filesystem::directory_iterator(checkpoints))
      if (const auto step = step_of(entry.path()); step && entry.is_directory())
        found.emplace_back(*step, entry.path());
  std::ranges::sort(found, std::greater());
  std::vector<std::filesystem::path> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

void save_state(const std::filesystem::path& checkpoints, const RunState& state, const Parameters& parameters,
                const WeightNames& names, std::int64_t keep) {
  std::filesystem::create_directories(checkpoints);
  const auto path = checkpoints / fmt::format("{}{}", kPrefix, state.step);
  checkpoint::OutputDirectory output(path, /*overwrite=*/false);
  Json json;
  json["format"] = kFormat;
  json["step"] = state.step;
  add_progress(json, state);
  json["match_steps"] = state.match_steps;
  json["recompute"] = state.recompute;
  json["outliers"] = state.outliers.to_json();
  json["must_match"] = state.must_match;
  json["made_by"] = made_by();
  json["sha256"] = write_tensors(output.partial() / kTensorFile, parameters, names);
  write_text(output.partial() / kStateFile, to_text(json));
  output.commit();
  const auto states = saved_states(checkpoints);
  const auto best = std::ranges::min_element(states, {}, validation_loss_of);
  for (auto old = states.begin() + std::min(keep, std::ssize(states)); old != states.end(); ++old)
    if (old != best) std::filesystem::remove_all(*old);
}

std::optional<SavedState> newest_state(const std::filesystem::path& checkpoints) {
  const auto states = saved_states(checkpoints);
  auto newest = first_whole(states);
  if (newest || states.empty()) return newest;
  throw UserError({.where = checkpoints.string(),
                   .what = "no state in it can be gone on from",
                   .remedy = "Put a whole one back, or start anew with --overwrite"});
}

std::optional<SavedState> best_state(const std::filesystem::path& checkpoints) {
  auto states = saved_states(checkpoints);
  std::erase_if(states, [](const auto& state) { return std::isinf(validation_loss_of(state)); });
  std::ranges::stable_sort(states, {}, validation_loss_of);
  return first_whole(states);
}

void remove_states_after(const std::filesystem::path& checkpoints, std::int64_t step) {
  for (const auto& directory : saved_states(checkpoints))
    if (step_of(directory) > step) std::filesystem::remove_all(directory);
}

RunState read_state(const SavedState& saved, const Json& must_match, Parameters& parameters,
                    const WeightNames& names) {
  const auto& [directory, json] = saved;
  refuse_changes(saved.must_match(), must_match, directory);
  read_tensors(directory / kTensorFile, parameters, names);
  const auto loss = [&json](const char* key) {
    return json.contains(key) ? std::optional(json[key].get<double>()) : std::nullopt;
  };
  return RunState{.step = saved.step(),
                  .tokens = json.at("tokens"),
                  .seconds = json.at("seconds"),
                  .last_loss = json.at("last_loss"),
                  .first_validation_loss = loss("first_validation_loss"),
                  .last_validation_loss = loss("last_validation_loss"),
                  .validated_step = json.value("validated_step", std::int64_t{-1}),
                  .least_validation_loss = loss("least_validation_loss"),
                  .match_steps = json.at("match_steps"),
                  .recompute = json.value("recompute", false),
                  .extended_at = json.value("extended_at", std::int64_t{0}),
                  .outliers = Outliers::from_json(json.at("outliers")),
                  .changes = json.value("changes", Json::array()),
                  .must_match = must_match};
}

}  // namespace regroup::uptrain
