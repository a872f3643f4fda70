#include "convert/moved_weights.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "convert/refit.h"
#include "core/base/error.h"
#include "core/model/stored.h"

namespace regroup::convert {
namespace {

using family::ModelConfig;
using family::Part;
using model::Weights;

// Weights that have a bias, and it.
constexpr std::array<std::pair<Part, Part>, 7> kBiases = {{
    {Part::kQueryWeight, Part::kQueryBias},
    {Part::kKeyWeight, Part::kKeyBias},
    {Part::kValueWeight, Part::kValueBias},
    {Part::kOutputWeight, Part::kOutputBias},
    {Part::kUpWeight, Part::kUpBias},
    {Part::kDownWeight, Part::kDownBias},
    {Part::kLmHead, Part::kLmHeadBias},
}};

std::optional<Part> weight_of_bias(Part part) {
  for (const auto& [weight, bias] : kBiases)
    if (bias == part) return weight;
  return std::nullopt;
}

bool is_norm_weight(Part part) {
  return part == Part::kAttentionNorm || part == Part::kMlpNorm || part == Part::kFinalNorm;
}
bool is_norm_bias(Part part) {
  return part == Part::kAttentionNormBias || part == Part::kMlpNormBias || part == Part::kFinalNormBias;
}

// Takes the weight g and bias b of a norm into what reads it: W (g·x + b) + c = (W g) x + (W b + c).
void take_in(Part norm, Part norm_bias, std::span<const Part> readers, std::int64_t layer, Weights& weights) {
  const at::Tensor g_M = weights.at({norm, layer});
  const auto b_M = weights.find({norm_bias, layer});
  for (const Part reader : readers) {
    at::Tensor& weight = weights.at({reader, layer});
    for (const auto& [of, bias] : kBiases) {
      if (of != reader || b_M == weights.end()) continue;
      const at::Tensor shift = at::matmul(weight, b_M->second);
      at::Tensor& c = weights[{bias, layer}];
      c = c.defined() ? c + shift : shift;
    }
    weight = weight * g_M;
  }
  weights.erase({norm, layer});
  weights.erase({norm_bias, layer});
}

}  // namespace

void MovedWeights::load(std::int64_t layer) {
  if (layer_ == layer) return;
  weights_.clear();
  const at::ScalarType type = model_.dtype() == checkpoint::DType::kF64 ? at::kDouble : at::kFloat;
  weights_ = model::load_layer(model_, layer, type, at::kCPU);
  layer_ = layer;
  if (layer < 0) {
    const auto positions = weights_.find({Part::kPositionEmbedding, -1});
    if (positions != weights_.end())
      positions->second =
          positions->second.narrow(0, model_.config.position_offset, model_.config.max_positions);
    return;
  }
  if (plan_.merges) put_projections(plan_.config, layers_.layer(layer), layer, weights_, type);
  if (plan_.config.shared_norm && !model_.config.shared_norm) {
    take_in(Part::kAttentionNorm, Part::kAttentionNormBias,
            std::array{Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight}, layer, weights_);
    take_in(Part::kMlpNorm, Part::kMlpNormBias, std::array{Part::kUpWeight}, layer, weights_);
  }
}

at::Tensor MovedWeights::part(Part part, const family::ModelTensor& tensor) const {
  const auto found = weights_.find({part, tensor.layer});
  if (found != weights_.end()) return found->second.contiguous();
  const at::TensorOptions options = weights_.begin()->second.options();
  if (is_norm_weight(part)) return at::ones({plan_.config.hidden}, options);
  if (is_norm_bias(part)) return at::zeros({plan_.config.hidden}, options);
  const auto weight = weight_of_bias(part);
  check(weight.has_value(), "a part that another architecture has, and that none of ours stands for");
  const bool tied = *weight == Part::kLmHead && plan_.config.tied_embeddings;
  return at::zeros({weights_.at({tied ? Part::kTokenEmbedding : *weight, tensor.layer}).size(0)}, options);
}

at::Tensor MovedWeights::values(const family::ModelTensor& tensor) {
  load(tensor.layer);
  return model::arranged(tensor, plan_.config, [&](Part held) { return part(held, tensor); });
}

}  // namespace regroup::convert
