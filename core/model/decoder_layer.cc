#include "core/model/decoder_layer.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/attention.h"
#include "core/model/norm.h"

namespace regroup::model {

using family::Part;

const at::Tensor& weight_of(const Weights& weights, Part part, std::int64_t layer) {
  const auto found = weights.find({part, layer});
  check(found != weights.end(),
        fmt::format("no weight for part {} of layer {}", static_cast<int>(part), layer));
  return found->second;
}

Linear DecoderLayer::linear(Part weight_part, Part bias_part) const {
  const auto bias = weights_.find({bias_part, layer_});
  return {weight_of(weights_, weight_part, layer_), bias == weights_.end() ? at::Tensor() : bias->second};
}

at::Tensor DecoderLayer::norm(Part part, const at::Tensor& x_BTM) const {
  return rms_norm(x_BTM, weight_of(weights_, part, layer_), config_.norm_epsilon);
}

at::Tensor DecoderLayer::operator()(const at::Tensor& x_BTM, const Rotation& rotation, KvCache* cache) const {
  const at::Tensor attended_BTM = x_BTM + attention_output(heads(attention_input(x_BTM), rotation, cache));
  return attended_BTM + feed_forward(attended_BTM);
}

at::Tensor DecoderLayer::attention_input(const at::Tensor& x_BTM) const {
  return norm(Part::kAttentionNorm, x_BTM);
}

at::Tensor DecoderLayer::heads(const at::Tensor& input_BTM, const Rotation& rotation, KvCache* cache) const {
  const auto split = [&](Part weight_part, Part bias_part) {
    return linear(weight_part, bias_part)(input_BTM).unflatten(-1, {-1, config_.head_dim}).transpose(1, 2);
  };
  const at::Tensor q_BHTD = rotate(split(Part::kQueryWeight, Part::kQueryBias), rotation);
  const at::Tensor k_BKTD = rotate(split(Part::kKeyWeight, Part::kKeyBias), rotation);
  const at::Tensor v_BKTD = split(Part::kValueWeight, Part::kValueBias);
  at::Tensor mixed_BHTD;
  if (cache == nullptr) {
    mixed_BHTD = causal_attention(q_BHTD, k_BKTD, v_BKTD);
  } else {
    const auto [k_BKSD, v_BKSD] = cache->extend(layer_, k_BKTD, v_BKTD);
    mixed_BHTD = cache->length() == 0 ? causal_attention(q_BHTD, k_BKTD, v_BKTD)
                                      : cached_attention(q_BHTD, k_BKSD, v_BKSD);
  }
  return mixed_BHTD.transpose(1, 2).flatten(-2);
}

at::Tensor DecoderLayer::attention_output(const at::Tensor& heads_BTF) const {
  return linear(Part::kOutputWeight, Part::kOutputBias)(heads_BTF);
}

at::Tensor DecoderLayer::feed_forward(const at::Tensor& x_BTM) const {
  return swiglu_mlp(norm(Part::kMlpNorm, x_BTM), linear(Part::kGateWeight, Part::kGateBias),
                    linear(Part::kUpWeight, Part::kUpBias), linear(Part::kDownWeight, Part::kDownBias));
}

}  // namespace regroup::model
