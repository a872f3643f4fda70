#include "core/model/decoder.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/attention.h"
#include "core/model/fused.h"
#include "core/model/mlp.h"
#include "core/model/norm.h"
#include "core/model/positions.h"

namespace regroup::model {

using family::Part;

KvCache::KvCache(const family::ModelConfig& config, std::int64_t batch, std::int64_t capacity,
                 at::TensorOptions options)
    : capacity_(capacity) {
  check(batch > 0 && capacity > 0, "a cache holds at least one token of one sequence");
  const std::vector<std::int64_t> shape = {batch, config.kv_heads, capacity, config.head_dim};
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    keys_BKCD_.push_back(at::zeros(shape, options));
    values_BKCD_.push_back(at::zeros(shape, options));
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::extend(std::int64_t layer, const at::Tensor& k_BKTD,
                                                  const at::Tensor& v_BKTD) {
  const auto extended = [&](const at::Tensor& all_BKCD, const at::Tensor& new_BKTD) {
    const std::int64_t count = new_BKTD.size(2);
    all_BKCD.narrow(2, length_, count).copy_(new_BKTD.detach());
    return all_BKCD.narrow(2, 0, length_ + count);
  };
  const auto index = static_cast<std::size_t>(layer);
  return {extended(keys_BKCD_[index], k_BKTD), extended(values_BKCD_[index], v_BKTD)};
}

Decoder::Decoder(const family::ModelConfig& config, Weights weights)
    : config_(config), weights_(std::move(weights)) {
  rope_frequencies_C_ = rotation_frequencies(config_, weight(Part::kTokenEmbedding).options());
}

const at::Tensor& Decoder::weight(Part part, std::int64_t layer) const {
  const auto found = weights_.find({part, layer});
  check(found != weights_.end(),
        fmt::format("no weight for part {} of layer {}", static_cast<int>(part), layer));
  return found->second;
}

Linear Decoder::linear(Part weight_part, Part bias_part, std::int64_t layer) const {
  const auto bias = weights_.find({bias_part, layer});
  return {weight(weight_part, layer), bias == weights_.end() ? at::Tensor() : bias->second};
}

at::Tensor Decoder::attention(std::int64_t layer, const at::Tensor& x_BTM, const Rotation& rotation,
                              KvCache* cache) const {
  const auto heads = [&](Part weight_part, Part bias_part) {
    return linear(weight_part, bias_part, layer)(x_BTM).unflatten(-1, {-1, config_.head_dim}).transpose(1, 2);
  };
  const at::Tensor q_BHTD = rotate(heads(Part::kQueryWeight, Part::kQueryBias), rotation);
  const at::Tensor k_BKTD = rotate(heads(Part::kKeyWeight, Part::kKeyBias), rotation);
  const at::Tensor v_BKTD = heads(Part::kValueWeight, Part::kValueBias);
  at::Tensor mixed_BHTD;
  if (cache == nullptr) {
    mixed_BHTD = causal_attention(q_BHTD, k_BKTD, v_BKTD);
  } else {
    const auto [k_BKSD, v_BKSD] = cache->extend(layer, k_BKTD, v_BKTD);
    mixed_BHTD = cache->length() == 0 ? causal_attention(q_BHTD, k_BKTD, v_BKTD)
                                      : cached_attention(q_BHTD, k_BKSD, v_BKSD);
  }
  return linear(Part::kOutputWeight, Part::kOutputBias, layer)(mixed_BHTD.transpose(1, 2).flatten(-2));
}

at::Tensor Decoder::mlp(std::int64_t layer, const at::Tensor& x_BTM) const {
  return swiglu_mlp(x_BTM, linear(Part::kGateWeight, Part::kGateBias, layer),
                    linear(Part::kUpWeight, Part::kUpBias, layer),
                    linear(Part::kDownWeight, Part::kDownBias, layer));
}

at::Tensor Decoder::hidden_states(const at::Tensor& tokens_BT, KvCache* cache) const {
  const std::int64_t first = cache ? cache->length() : 0, count = tokens_BT.size(1);
  check(cache == nullptr || first + count <= cache->capacity(),
        fmt::format("{} tokens do not fit in a cache that holds {} of {}", count, first,
                    cache ? cache->capacity() : 0));
  const at::Tensor& table_VM = weight(Part::kTokenEmbedding);
  const bool fused = fused::applies(table_VM);
  at::Tensor x_BTM = fused ? fused::embedding(table_VM, tokens_BT) : at::embedding(table_VM, tokens_BT);
  const Rotation rotation =
      rotation_at(rope_frequencies_C_, first, count, fused ? at::kFloat : x_BTM.scalar_type());
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    x_BTM = x_BTM + attention(layer, norm(Part::kAttentionNorm, layer, x_BTM), rotation, cache);
    x_BTM = x_BTM + mlp(layer, norm(Part::kMlpNorm, layer, x_BTM));
  }
  if (cache) cache->length_ += count;
  return norm(Part::kFinalNorm, -1, x_BTM);
}

at::Tensor Decoder::norm(Part part, std::int64_t layer, const at::Tensor& x_BTM) const {
  return rms_norm(x_BTM, weight(part, layer), config_.norm_epsilon);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return at::linear(hidden, output_projection());
}

const at::Tensor& Decoder::output_projection() const {
  return weight(config_.tied_embeddings ? Part::kTokenEmbedding : Part::kLmHead);
}

}  // namespace regroup::model
