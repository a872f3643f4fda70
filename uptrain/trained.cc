#include "uptrain/trained.h"

#include <algorithm>
#include <array>
#include <regex>
#include <set>

#include "core/base/error.h"
#include "core/base/table.h"

namespace regroup::uptrain {
namespace {

using family::Part;

bool is_kv(Part part) {
  return part == Part::kKeyWeight || part == Part::kKeyBias || part == Part::kKeyNorm ||
         part == Part::kKeyNormBias || part == Part::kValueWeight || part == Part::kValueBias;
}

bool is_attention(Part part) {
  return is_kv(part) || part == Part::kQueryWeight || part == Part::kQueryBias || part == Part::kQueryNorm ||
         part == Part::kQueryNormBias || part == Part::kOutputWeight || part == Part::kOutputBias;
}

bool is_embedding(Part part) {
  return part == Part::kTokenEmbedding || part == Part::kPositionEmbedding || part == Part::kLmHead;
}

constexpr std::array kTrainedParts{
    TrainedPart{"all", "every weight", [](Part) { return true; }},
    TrainedPart{"attention", "projections, biases and norms of queries, keys, values and outputs",
                is_attention},
    TrainedPart{"kv", "those of keys and values", is_kv},
};

std::regex expression(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error&) {
    throw UserError(
        {.where = "--train",
         .expected = list_some(trained_part_names()) + ", or a regular expression for names of weights",
         .found = text});
  }
}

}  // namespace

std::span<const TrainedPart> trained_parts() {
  return kTrainedParts;
}

Treatments treatments(const UptrainOptions& options, const WeightNames& names) {
  const auto row = std::ranges::find(kTrainedParts, options.train, &TrainedPart::name);
  const bool named = row != kTrainedParts.end();
  const std::regex pattern = named ? std::regex() : expression(options.train);
  std::set<model::WeightKey> trained;
  for (const auto& [key, name] : names) {
    const bool chosen = named ? row->holds(key.first) : std::regex_search(name, pattern);
    if (chosen && !(options.freeze_embeddings && is_embedding(key.first))) trained.insert(key);
  }
  if (trained.empty())
    throw UserError({.where = "--train",
                     .what = "nothing is left to train",
                     .expected = "weights such as " + names.begin()->second,
                     .found = options.train});
  return [trained, multiplier = options.kv_lr_multiplier,
          rule = optimizer(options.optimizer).of_matrices](const model::WeightKey& key) {
    return Treatment{.trained = trained.contains(key),
                     .lr_multiplier = is_kv(key.first) ? multiplier : 1,
                     .of_matrices = rule};
  };
}

bool trains_down_projections(std::span<const Slot> slots) {
  return std::ranges::any_of(slots, [](const Slot& slot) {
    const Part part = slot.key.first;
    return slot.treatment.trained &&
           (part == Part::kDownWeight || part == Part::kExpertDown || part == Part::kSharedDown);
  });
}

std::vector<std::string> trained_part_names() {
  return names_of(kTrainedParts);
}

}  // namespace regroup::uptrain
