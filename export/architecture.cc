#include "export/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

#include "core/base/error.h"

namespace regroup::exporting {
namespace {

using family::RopeScaling;

constexpr std::array<std::string_view, 1> kLlamaFamilies = {"llama"};
constexpr std::array kLlamaParts = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias, Part::kOutputBias,
                                    Part::kGateBias,  Part::kUpBias,  Part::kDownBias};

constexpr std::array kArchitectures = {
    Architecture{.name = "llama",
                 .families = kLlamaFamilies,
                 .pairs_side_by_side = true,
                 .optional_parts = kLlamaParts},
};

// What every decoder has.
constexpr std::array kCommonParts = {
    Part::kTokenEmbedding, Part::kAttentionNorm, Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight,
    Part::kOutputWeight,   Part::kMlpNorm,       Part::kGateWeight,  Part::kUpWeight,  Part::kDownWeight,
    Part::kFinalNorm,      Part::kLmHead,        Part::kUnused};

bool has(std::span<const Part> parts, Part part) {
  return std::ranges::find(parts, part) != parts.end();
}

std::vector<std::string> objections(const Architecture& architecture, const family::ModelDirectory& model) {
  std::vector<std::string> all;
  if (architecture.differences != nullptr) all = architecture.differences(model.config);
  for (const family::ModelTensor& tensor : model.tensors)
    if (!has(kCommonParts, tensor.part) && !has(architecture.optional_parts, tensor.part))
      all.push_back(fmt::format("it has no place for '{}'", tensor.stored.info->name));
  return all;
}

// Keys of one architecture, prefixed with its name.
class Keys {
 public:
  Keys(gguf::Metadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  void count(std::string_view key, std::int64_t value) { add(key, static_cast<std::uint32_t>(value)); }
  void number(std::string_view key, double value) { add(key, static_cast<float>(value)); }
  void add(std::string_view key, gguf::Value value) {
    metadata_.emplace_back(prefix_ + std::string(key), std::move(value));
  }

 private:
  gguf::Metadata& metadata_;
  std::string prefix_;
};

// llama3's stretch is in rope_freqs.weight (tensors.cc): llama.cpp has no keys for it.
void add_rope(const ModelConfig& config, Keys& keys) {
  keys.count("rope.dimension_count", config.head_dim);
  keys.number("rope.freq_base", config.rope.theta);
  if (config.rope.scaling != RopeScaling::kLinear) return;
  keys.add("rope.scaling.type", "linear");
  keys.number("rope.scaling.factor", config.rope.factor);
}

std::string name_of(const std::filesystem::path& directory) {
  const auto path = std::filesystem::weakly_canonical(directory);
  return path.filename().string();
}

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const Architecture& architecture_for(const family::ModelDirectory& model) {
  const std::string_view family = model.family->name;
  const auto row = std::ranges::find_if(kArchitectures, [&](const Architecture& architecture) {
    return std::ranges::find(architecture.families, family) != architecture.families.end();
  });
  if (row == kArchitectures.end()) {
    std::vector<std::string> supported;
    for (const Architecture& architecture : kArchitectures)
      supported.insert(supported.end(), architecture.families.begin(), architecture.families.end());
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("the {} family has no GGUF form that llama.cpp runs", family),
                     .expected = "a model of one of the families " + list_some(supported, 20)});
  }
  if (const auto all = objections(*row, model); !all.empty())
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("llama.cpp's graph '{}' does not compute this model: {}", row->name,
                                         list_some(all, 4))});
  return *row;
}

gguf::Metadata model_metadata(const Architecture& architecture, const family::ModelDirectory& model) {
  const ModelConfig& config = model.config;
  gguf::Metadata metadata = {{"general.architecture", std::string(architecture.name)},
                             {"general.type", "model"},
                             {"general.name", name_of(model.path)}};
  Keys keys(metadata, architecture.name);
  keys.count("block_count", config.layers);
  keys.count("context_length", config.max_positions);
  keys.count("embedding_length", config.hidden);
  keys.count("feed_forward_length", config.ffn);
  keys.count("vocab_size", config.vocab_size);
  keys.count("attention.head_count", config.heads);
  keys.count("attention.head_count_kv", config.kv_heads);
  keys.count("attention.key_length", config.head_dim);
  keys.count("attention.value_length", config.head_dim);
  keys.number("attention.layer_norm_rms_epsilon", config.norm_epsilon);
  add_rope(config, keys);
  return metadata;
}

}  // namespace regroup::exporting
