#include "export/graph_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace regroup::exporting {
namespace {

using family::Activation;
using family::Block;
using family::Positions;
using family::QkNorm;
using family::RopeScaling;

// What every decoder has.
constexpr std::array kCommonParts = {
    Part::kTokenEmbedding, Part::kPositionEmbedding, Part::kEmbeddingNorm, Part::kEmbeddingNormBias,
    Part::kAttentionNorm,  Part::kQueryWeight,       Part::kKeyWeight,     Part::kValueWeight,
    Part::kOutputWeight,   Part::kMlpNorm,           Part::kGateWeight,    Part::kUpWeight,
    Part::kDownWeight,     Part::kFinalNorm,         Part::kLmHead,        Part::kUnused};

bool has(std::span<const Part> parts, Part part) {
  return std::ranges::find(parts, part) != parts.end();
}

bool close(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::abs(b);
}

unsigned form_of(const ModelConfig& config) {
  if (config.block == Block::kSequential) return blocks::kSequential;
  if (config.block == Block::kPostNorm) return blocks::kPostNorm;
  return config.shared_norm ? blocks::kParallelSharedNorm : blocks::kParallel;
}

bool same_activation(Activation graph, Activation model) {
  return graph == model || (graph == Activation::kGeluTanh && model == Activation::kGelu);
}

class Differences {
 public:
  void unless(bool same, std::string clause) {
    if (!same) all_.push_back(std::move(clause));
  }
  std::vector<std::string> take() { return std::move(all_); }

 private:
  std::vector<std::string> all_;
};

void compare_layers(const Architecture& graph, const ModelConfig& model, Differences& all) {
  all.unless(graph.norm == model.norm, "its norms are of another kind");
  all.unless((graph.blocks & form_of(model)) != 0, "it adds attention and feed-forward up in another order");
  all.unless(graph.gated_mlp == model.gated_mlp, "its feed-forward half is gated differently");
  all.unless(same_activation(graph.activation, model.activation), "its activation function is another one");
  all.unless(model.experts.count == 0, "it has no experts");
  const bool here = graph.qk_norm_layers == 0 || model.layers >= graph.qk_norm_layers;
  if (model.qk_norm == QkNorm::kNone)
    all.unless(graph.qk_norm_layers == 0 || !here,
               fmt::format("from {} layers on it normalizes queries and keys", graph.qk_norm_layers));
  else
    all.unless(model.qk_norm == graph.qk_norm && here, "it does not normalize queries and keys in this way");
}

void compare_positions(const Architecture& graph, const ModelConfig& model, Differences& all) {
  all.unless(graph.positions == model.positions, "positions enter it in another way");
  if (model.positions == Positions::kRotary) {
    all.unless(graph.partial_rotary || model.rope.dims == model.head_dim, "it turns whole heads");
    const bool by_pair =
        model.rope.scaling == RopeScaling::kLlama3 || model.rope.scaling == RopeScaling::kLongRope;
    all.unless(model.rope.scaling != RopeScaling::kYarn || model.rope.truncate,
               "it rounds the bounds of YaRN's blend to whole pairs");
    all.unless(graph.frequency_factors || !by_pair, "it stretches all rotary frequencies alike");
  }
  if (model.positions == Positions::kAlibi) {
    all.unless(alibi_exponent(model) > 0, "its ALiBi slopes are others");
    all.unless(close(model.alibi_scale, 1), "it does not scale ALiBi");
  }
  all.unless(model.position_offset == 0, "its first position is row 0");
}

void compare_scales(const Architecture& graph, const ModelConfig& model, Differences& all) {
  all.unless(graph.any_query_width || model.query_width() == model.hidden,
             "its heads together are as wide as the hidden state");
  all.unless(close(model.attention_scale, 1 / std::sqrt(static_cast<double>(model.head_dim))) &&
                 !model.attention_scale_by_layer,
             "it divides scores by the root of head_dim");
  all.unless(model.clip_qkv == 0 || graph.clips, "it does not clip queries, keys and values");
  all.unless(graph.scales_logits || close(model.logit_scale, 1), "it does not scale logits");
  const double embedding = graph.embedding_times_root ? std::sqrt(static_cast<double>(model.hidden)) : 1;
  all.unless(close(model.embedding_scale, embedding), "it scales embeddings differently");
  all.unless(graph.head != Head::kTied || model.tied_embeddings, "its output projection is the embedding");
}

std::int64_t shortest_window(const ModelConfig& config) {
  std::int64_t shortest = 0;
  for (const std::int64_t window : config.windows)
    if (window > 0 && (shortest == 0 || window < shortest)) shortest = window;
  return shortest;
}

}  // namespace

std::vector<std::string> differences(const Architecture& architecture, const family::ModelDirectory& model) {
  Differences all;
  compare_layers(architecture, model.config, all);
  compare_positions(architecture, model.config, all);
  compare_scales(architecture, model.config, all);
  for (const family::ModelTensor& tensor : model.tensors)
    all.unless(has(kCommonParts, tensor.part) || has(architecture.takes, tensor.part) ||
                   has(architecture.needs, tensor.part),
               fmt::format("it has no place for '{}'", tensor.stored.info->name));
  return all.take();
}

std::vector<std::string> approximations(const Architecture& architecture, const ModelConfig& config) {
  std::vector<std::string> all;
  if (architecture.activation != config.activation)
    all.emplace_back("llama.cpp computes GELU by its tanh approximation");
  if (const auto window = shortest_window(config); window > 0 && window < config.max_positions)
    all.push_back(
        fmt::format("llama.cpp's attention looks back on everything, the model's on {} tokens: exact "
                    "for texts up to that",
                    window));
  if (config.rope.scaling == RopeScaling::kDynamic)
    all.push_back(
        fmt::format("llama.cpp does not stretch rotary positions with a text's length: exact up to {} "
                    "tokens",
                    config.rope.original_positions));
  if (config.rope.scaling == RopeScaling::kLongRope)
    all.push_back(
        fmt::format("llama.cpp takes the rotary factors for long texts wherever its context is set "
                    "beyond {} tokens, the model where the text is longer",
                    config.rope.original_positions));
  if (config.alibi_bfloat16) all.emplace_back("llama.cpp does not round ALiBi to bfloat16");
  return all;
}

double alibi_exponent(const ModelConfig& config) {
  if (config.alibi_slopes.empty()) return 0;
  double power = 1;
  while (power * 2 <= static_cast<double>(config.heads)) power *= 2;
  const double exponent = -std::log2(config.alibi_slopes.front()) * power;
  for (std::size_t head = 0; head < config.alibi_slopes.size(); ++head) {
    const auto number = static_cast<double>(head);
    const double steps = number < power ? (number + 1) / power : (2 * (number - power) + 1) / (2 * power);
    if (!close(config.alibi_slopes[head], std::exp2(-exponent * steps))) return 0;
  }
  return exponent;
}

}  // namespace regroup::exporting
