#include "export/tensors.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "core/base/error.h"

namespace regroup::exporting {
namespace {

using family::ModelDirectory;
using family::ModelTensor;
using gguf::TensorType;

struct Name {
  Part part;
  std::string_view text;  // "blk.{}." goes before those of a layer
};

// In the order of the file.
constexpr std::array kBefore = {Name{Part::kTokenEmbedding, "token_embd.weight"}};
constexpr std::array kInLayer = {
    Name{Part::kAttentionNorm, "attn_norm.weight"},
    Name{Part::kQueryWeight, "attn_q.weight"},
    Name{Part::kQueryBias, "attn_q.bias"},
    Name{Part::kKeyWeight, "attn_k.weight"},
    Name{Part::kKeyBias, "attn_k.bias"},
    Name{Part::kValueWeight, "attn_v.weight"},
    Name{Part::kValueBias, "attn_v.bias"},
    Name{Part::kOutputWeight, "attn_output.weight"},
    Name{Part::kOutputBias, "attn_output.bias"},
    Name{Part::kMlpNorm, "ffn_norm.weight"},
    Name{Part::kGateWeight, "ffn_gate.weight"},
    Name{Part::kGateBias, "ffn_gate.bias"},
    Name{Part::kUpWeight, "ffn_up.weight"},
    Name{Part::kUpBias, "ffn_up.bias"},
    Name{Part::kDownWeight, "ffn_down.weight"},
    Name{Part::kDownBias, "ffn_down.bias"},
};
constexpr std::array kAfter = {Name{Part::kFinalNorm, "output_norm.weight"},
                               Name{Part::kLmHead, "output.weight"}};

bool turns(Part part) {
  return part == Part::kQueryWeight || part == Part::kQueryBias || part == Part::kKeyWeight ||
         part == Part::kKeyBias;
}

TensorType type_of(const std::string& name, const std::vector<std::int64_t>& shape, TensorType wanted) {
  if (shape.size() == 1 || name.ends_with("_norm.weight")) return TensorType::kF32;
  return shape.back() % gguf::block_elements(wanted) == 0 ? wanted : TensorType::kF16;
}

class Planner {
 public:
  Planner(const Architecture& architecture, const ModelDirectory& model, TensorType type)
      : architecture_(architecture), model_(model), type_(type) {}

  void add(const Name& name, std::int64_t layer) {
    const ModelTensor* tensor = model_.find(name.part, layer);
    // A tied head may be stored twice.
    if (tensor == nullptr || (name.part == Part::kLmHead && model_.config.tied_embeddings)) return;
    std::string text = layer < 0 ? std::string(name.text) : fmt::format("blk.{}.{}", layer, name.text);
    const auto& shape = tensor->stored.info->shape;
    const TensorType type = type_of(text, shape, type_);
    planned_.push_back({.info = {.name = std::move(text), .shape = shape, .type = type},
                        .parts = {name.part},
                        .layer = layer,
                        .pairs_side_by_side = architecture_.pairs_side_by_side && turns(name.part)});
  }

  void add_values(std::string name, std::vector<float> values) {
    const auto size = static_cast<std::int64_t>(values.size());
    planned_.push_back({.info = {.name = std::move(name), .shape = {size}, .type = TensorType::kF32},
                        .parts = {},
                        .values = std::move(values)});
  }

  std::vector<PlannedTensor> take() { return std::move(planned_); }

 private:
  const Architecture& architecture_;
  const ModelDirectory& model_;
  TensorType type_;
  std::vector<PlannedTensor> planned_;
};

// By what llama.cpp divides each rotary pair's frequency.
std::vector<float> frequency_divisors(const ModelConfig& config) {
  ModelConfig plain = config;
  plain.rope.scaling = family::RopeScaling::kNone;
  const std::vector<double> before = family::rope_frequencies(plain, 1),
                            after = family::rope_frequencies(config, 1);
  std::vector<float> divisors;
  for (std::size_t j = 0; j < before.size(); ++j)
    divisors.push_back(static_cast<float>(before[j] / after[j]));
  return divisors;
}

}  // namespace

std::vector<PlannedTensor> plan_tensors(const Architecture& architecture, const ModelDirectory& model,
                                        TensorType type) {
  Planner planner(architecture, model, type);
  if (model.config.rope.scaling == family::RopeScaling::kLlama3)
    planner.add_values("rope_freqs.weight", frequency_divisors(model.config));
  for (const Name& name : kBefore) planner.add(name, -1);
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer)
    for (const Name& name : kInLayer) planner.add(name, layer);
  for (const Name& name : kAfter) planner.add(name, -1);
  return planner.take();
}

}  // namespace regroup::exporting
