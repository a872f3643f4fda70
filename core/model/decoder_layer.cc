#include "core/model/decoder_layer.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/attention.h"
#include "core/model/norm.h"

namespace regroup::model {

using family::Block;
using family::Part;
using family::QkNorm;

const at::Tensor& weight_of(const Weights& weights, Part part, std::int64_t layer) {
  const auto found = weights.find({part, layer});
  check(found != weights.end(),
        fmt::format("no weight for part {} of layer {}", static_cast<int>(part), layer));
  return found->second;
}

at::Tensor stream_norm(const family::ModelConfig& config, const at::Tensor& x_BTM, const at::Tensor& weight_M,
                       const at::Tensor& bias_M) {
  if (config.norm == family::Norm::kLayer) return layer_norm(x_BTM, weight_M, bias_M, config.norm_epsilon);
  return config.norm_plus_one ? rms_norm_plus_one(x_BTM, weight_M, config.norm_epsilon)
                              : rms_norm(x_BTM, weight_M, config.norm_epsilon);
}

at::Tensor DecoderLayer::find(Part part) const {
  const auto found = weights_.find({part, layer_});
  return found == weights_.end() ? at::Tensor() : found->second;
}

Linear DecoderLayer::linear(Part weight_part, Part bias_part) const {
  return {weight_of(weights_, weight_part, layer_), find(bias_part)};
}

at::Tensor DecoderLayer::norm(Part part, Part bias_part, const at::Tensor& x_BTM) const {
  return stream_norm(config_, x_BTM, config_.norm_weight ? weight_of(weights_, part, layer_) : at::Tensor(),
                     find(bias_part));
}

at::Tensor DecoderLayer::operator()(const at::Tensor& x_BTM, const Rotation& rotation, KvCache* cache,
                                    const DocumentPieces* documents) const {
  return after(x_BTM, attention_output(heads(attention_input(x_BTM), rotation, cache, documents)));
}

at::Tensor DecoderLayer::attention_input(const at::Tensor& x_BTM) const {
  return config_.block == Block::kPostNorm ? x_BTM
                                           : norm(Part::kAttentionNorm, Part::kAttentionNormBias, x_BTM);
}

at::Tensor DecoderLayer::split_heads(const at::Tensor& projected_BTF, Part norm_part,
                                     Part norm_bias_part) const {
  at::Tensor all_BTF = projected_BTF;
  if (config_.qk_norm == QkNorm::kRmsOfAll && norm_part != Part::kUnused)
    all_BTF = rms_norm(all_BTF, weight_of(weights_, norm_part, layer_), config_.norm_epsilon);
  if (config_.clip_qkv > 0) all_BTF = all_BTF.clamp(-config_.clip_qkv, config_.clip_qkv);
  const at::Tensor heads_BTHD = all_BTF.unflatten(-1, {-1, config_.head_dim});
  if (config_.qk_norm != QkNorm::kLayerOfHead || norm_part == Part::kUnused)
    return heads_BTHD.transpose(1, 2);
  return layer_norm(heads_BTHD, weight_of(weights_, norm_part, layer_), find(norm_bias_part),
                    config_.norm_epsilon)
      .transpose(1, 2);
}

at::Tensor DecoderLayer::heads(const at::Tensor& input_BTM, const Rotation& rotation, KvCache* cache,
                               const DocumentPieces* documents) const {
  const auto projected = [&](Part weight_part, Part bias_part) {
    return linear(weight_part, bias_part)(input_BTM);
  };
  const at::Tensor q_BHTD = rotate(
      split_heads(projected(Part::kQueryWeight, Part::kQueryBias), Part::kQueryNorm, Part::kQueryNormBias),
      rotation);
  const at::Tensor k_BKTD = rotate(
      split_heads(projected(Part::kKeyWeight, Part::kKeyBias), Part::kKeyNorm, Part::kKeyNormBias), rotation);
  const at::Tensor v_BKTD =
      split_heads(projected(Part::kValueWeight, Part::kValueBias), Part::kUnused, Part::kUnused);
  const ScoreRule rule = score_rule(config_, layer_);
  at::Tensor mixed_BHTD;
  if (documents != nullptr) {
    mixed_BHTD = attention_within_documents(q_BHTD, k_BKTD, v_BKTD, rule, *documents);
  } else if (cache == nullptr) {
    mixed_BHTD = causal_attention(q_BHTD, k_BKTD, v_BKTD, rule);
  } else {
    const auto [k_BKSD, v_BKSD] = cache->extend(layer_, k_BKTD, v_BKTD);
    mixed_BHTD = cache->length() == 0 ? causal_attention(q_BHTD, k_BKTD, v_BKTD, rule)
                                      : cached_attention(q_BHTD, k_BKSD, v_BKSD, rule);
  }
  return mixed_BHTD.transpose(1, 2).flatten(-2);
}

at::Tensor DecoderLayer::attention_output(const at::Tensor& heads_BTF) const {
  return linear(Part::kOutputWeight, Part::kOutputBias)(heads_BTF);
}

at::Tensor DecoderLayer::after(const at::Tensor& x_BTM, const at::Tensor& attention_BTM) const {
  switch (config_.block) {
    case Block::kSequential: {
      const at::Tensor attended_BTM = x_BTM + attention_BTM;
      return attended_BTM + feed_forward(norm(Part::kMlpNorm, Part::kMlpNormBias, attended_BTM));
    }
    case Block::kParallel: {
      const at::Tensor input_BTM = config_.shared_norm
                                       ? norm(Part::kAttentionNorm, Part::kAttentionNormBias, x_BTM)
                                       : norm(Part::kMlpNorm, Part::kMlpNormBias, x_BTM);
      return x_BTM + attention_BTM + feed_forward(input_BTM);
    }
    case Block::kPostNorm: {
      const at::Tensor attended_BTM =
          x_BTM + norm(Part::kAttentionNorm, Part::kAttentionNormBias, attention_BTM);
      return attended_BTM + norm(Part::kMlpNorm, Part::kMlpNormBias, feed_forward(attended_BTM));
    }
  }
  check(false, "a Block without a layer");
  return {};
}

at::Tensor DecoderLayer::feed_forward(const at::Tensor& input_BTM) const {
  if (config_.has_experts(layer_)) {
    ExpertWeights experts{.router_EM = weight_of(weights_, Part::kRouter, layer_),
                          .gate_EFM = weight_of(weights_, Part::kExpertGate, layer_),
                          .up_EFM = weight_of(weights_, Part::kExpertUp, layer_),
                          .down_EMF = weight_of(weights_, Part::kExpertDown, layer_),
                          .shared_router_1M = find(Part::kSharedRouter),
                          .shared_gate = {find(Part::kSharedGate)},
                          .shared_up = {find(Part::kSharedUp)},
                          .shared_down = {find(Part::kSharedDown)}};
    return expert_mlp(config_.experts, config_.activation, input_BTM, experts);
  }
  const Linear up = linear(Part::kUpWeight, Part::kUpBias), down = linear(Part::kDownWeight, Part::kDownBias);
  if (!config_.gated_mlp) return plain_mlp(config_.activation, input_BTM, up, down);
  return gated_mlp(config_.activation, input_BTM, linear(Part::kGateWeight, Part::kGateBias), up, down);
}

}  // namespace regroup::model
