#include "export/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numbers>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "export/part.h"

namespace regroup::exporting {
namespace {

using family::Block;
using family::ModelDirectory;
using family::RopeScaling;
using gguf::TensorType;

// A tensor of the file and the parts in it. "blk.{}." goes before the names of those in layers.
struct Name {
  std::string_view text;
  std::array<Part, 3> parts;
  std::size_t count = 1;
};

constexpr Name one(std::string_view text, Part part) {
  return {text, {part}, 1};
}

// In the order of the file.
constexpr std::array kBefore = {one("token_embd.weight", Part::kTokenEmbedding),
                                one("position_embd.weight", Part::kPositionEmbedding),
                                one("token_embd_norm.weight", Part::kEmbeddingNorm),
                                one("token_embd_norm.bias", Part::kEmbeddingNormBias)};
constexpr std::array kNormsBefore = {
    one("attn_norm.weight", Part::kAttentionNorm), one("attn_norm.bias", Part::kAttentionNormBias),
    one("ffn_norm.weight", Part::kMlpNorm), one("ffn_norm.bias", Part::kMlpNormBias)};
constexpr std::array kNormsBehind = {one("post_attention_norm.weight", Part::kAttentionNorm),
                                     one("post_ffw_norm.weight", Part::kMlpNorm)};
constexpr std::array kFused = {
    Name{"attn_qkv.weight", {Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight}, 3},
    Name{"attn_qkv.bias", {Part::kQueryBias, Part::kKeyBias, Part::kValueBias}, 3}};
constexpr std::array kApart = {
    one("attn_q.weight", Part::kQueryWeight), one("attn_q.bias", Part::kQueryBias),
    one("attn_k.weight", Part::kKeyWeight),   one("attn_k.bias", Part::kKeyBias),
    one("attn_v.weight", Part::kValueWeight), one("attn_v.bias", Part::kValueBias)};
constexpr std::array kOutput = {
    one("attn_q_norm.weight", Part::kQueryNorm), one("attn_k_norm.weight", Part::kKeyNorm),
    one("attn_output.weight", Part::kOutputWeight), one("attn_output.bias", Part::kOutputBias)};
constexpr std::array kFusedMlp = {Name{"ffn_up.weight", {Part::kGateWeight, Part::kUpWeight}, 2}};
constexpr std::array kMlp = {one("ffn_gate.weight", Part::kGateWeight), one("ffn_gate.bias", Part::kGateBias),
                             one("ffn_up.weight", Part::kUpWeight), one("ffn_up.bias", Part::kUpBias)};
constexpr std::array kDown = {one("ffn_down.weight", Part::kDownWeight),
                              one("ffn_down.bias", Part::kDownBias)};
constexpr std::array kAfter = {one("output_norm.weight", Part::kFinalNorm),
                               one("output_norm.bias", Part::kFinalNormBias),
                               one("output.weight", Part::kLmHead), one("output.bias", Part::kLmHeadBias)};

bool turns(Part part) {
  constexpr std::array kTurned = {Part::kQueryWeight, Part::kQueryBias, Part::kQueryNorm,
                                  Part::kKeyWeight,   Part::kKeyBias,   Part::kKeyNorm};
  return std::ranges::find(kTurned, part) != kTurned.end();
}

bool is_norm(Part part) {
  constexpr std::array kNorms = {Part::kEmbeddingNorm, Part::kAttentionNorm, Part::kMlpNorm,
                                 Part::kFinalNorm,     Part::kQueryNorm,     Part::kKeyNorm};
  return std::ranges::find(kNorms, part) != kNorms.end();
}

TensorType type_of(const std::string& name, const std::vector<std::int64_t>& shape, TensorType wanted) {
  if (shape.size() == 1 || name.ends_with("_norm.weight") || name == "position_embd.weight")
    return TensorType::kF32;
  return shape.back() % gguf::block_elements(wanted) == 0 ? wanted : TensorType::kF16;
}

std::int64_t vector_size(Part part, const ModelConfig& config) {
  switch (part) {
    case Part::kQueryBias:
      return config.query_width();
    case Part::kKeyBias:
    case Part::kValueBias:
      return config.kv_width();
    case Part::kUpBias:
    case Part::kGateBias:
      return config.ffn;
    case Part::kLmHeadBias:
      return config.vocab_size;
    default:
      return config.hidden;
  }
}

class Planner {
 public:
  Planner(const Architecture& architecture, const ModelDirectory& model, TensorType type)
      : architecture_(architecture), model_(model), type_(type) {}

  void add(std::span<const Name> names, std::int64_t layer) {
    for (const Name& name : names) add(name, layer);
  }

  void add_values(std::string name, std::vector<float> values) {
    const auto size = static_cast<std::int64_t>(values.size());
    planned_.push_back({.info = {.name = std::move(name), .shape = {size}, .type = TensorType::kF32},
                        .parts = {},
                        .values = std::move(values)});
  }

  std::vector<PlannedTensor> take() { return std::move(planned_); }

 private:
  void add(const Name& name, std::int64_t layer) {
    std::vector<Part> parts(name.parts.begin(), name.parts.begin() + static_cast<std::ptrdiff_t>(name.count));
    std::string text = layer < 0 ? std::string(name.text) : fmt::format("blk.{}.{}", layer, name.text);
    if (parts.front() == Part::kLmHead) parts = head_parts();
    if (parts.empty()) return;
    if (model_.find(parts.front(), layer) == nullptr) return add_zeros(std::move(text), parts);
    std::vector<std::int64_t> shape = part_shape(model_, parts.front(), layer);
    for (std::size_t i = 1; i < parts.size(); ++i)
      shape.front() += part_shape(model_, parts[i], layer).front();
    const TensorType type = type_of(text, shape, type_);
    planned_.push_back({.info = {.name = std::move(text), .shape = std::move(shape), .type = type},
                        .parts = parts,
                        .layer = layer,
                        .pairs_side_by_side = architecture_.pairs_side_by_side && turns(parts.front()),
                        .plus_one = model_.config.norm_plus_one && is_norm(parts.front())});
  }

  // Where the graph wants a vector that the model has not.
  void add_zeros(std::string name, const std::vector<Part>& parts) {
    std::int64_t size = 0;
    for (const Part part : parts) size += vector_size(part, model_.config);
    if (std::ranges::find(architecture_.needs, parts.front()) != architecture_.needs.end())
      add_values(std::move(name), std::vector<float>(static_cast<std::size_t>(size)));
  }

  // A tied head may be stored twice; it is the embedding all the same.
  std::vector<Part> head_parts() const {
    if (!model_.config.tied_embeddings) return {Part::kLmHead};
    return architecture_.head == Head::kOwn ? std::vector{Part::kTokenEmbedding} : std::vector<Part>{};
  }

  const Architecture& architecture_;
  const ModelDirectory& model_;
  TensorType type_;
  std::vector<PlannedTensor> planned_;
};

// By what llama.cpp divides each rotary pair's frequency.
std::vector<float> llama3_divisors(const ModelConfig& config) {
  ModelConfig plain = config;
  plain.rope.scaling = RopeScaling::kNone;
  const std::vector<double> before = family::rope_frequencies(plain, config.max_positions),
                            after = family::rope_frequencies(config, config.max_positions);
  std::vector<float> divisors;
  for (std::size_t j = 0; j < before.size(); ++j)
    divisors.push_back(static_cast<float>(before[j] / after[j]));
  return divisors;
}

void add_frequencies(const ModelConfig& config, Planner& planner) {
  const auto floats = [](const std::vector<double>& values) {
    return std::vector<float>(values.begin(), values.end());
  };
  if (config.rope.scaling == RopeScaling::kLlama3)
    planner.add_values("rope_freqs.weight", llama3_divisors(config));
  if (config.rope.scaling == RopeScaling::kLongRope) {
    planner.add_values("rope_factors_long.weight", floats(config.rope.long_factors));
    planner.add_values("rope_factors_short.weight", floats(config.rope.short_factors));
  }
}

}  // namespace

std::vector<PlannedTensor> plan_tensors(const Architecture& architecture, const ModelDirectory& model,
                                        TensorType type) {
  Planner planner(architecture, model, type);
  add_frequencies(model.config, planner);
  planner.add(kBefore, -1);
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    if (model.config.block == Block::kPostNorm)
      planner.add(kNormsBehind, layer);
    else
      planner.add(kNormsBefore, layer);
    planner.add(architecture.fused_qkv ? std::span<const Name>(kFused) : kApart, layer);
    planner.add(kOutput, layer);
    planner.add(architecture.fused_gate_up ? std::span<const Name>(kFusedMlp) : kMlp, layer);
    planner.add(kDown, layer);
  }
  planner.add(kAfter, -1);
  return planner.take();
}

}  // namespace regroup::exporting
