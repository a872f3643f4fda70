#include "convert/attention_layer.h"

#include "core/base/error.h"
#include "core/model/weights.h"

namespace regroup::convert {

using family::ModelDirectory;
using family::Part;
AttentionLayer read_attention(const ModelDirectory& model, std::int64_t layer, bool with_queries) {
  const family::ModelConfig& config = model.config;
  const auto& key = *model.find(Part::kKeyWeight, layer);
  const at::ScalarType type = key.stored.info->dtype == checkpoint::DType::kF64 ? at::kDouble : at::kFloat;
  std::vector<Part> parts = {Part::kKeyWeight, Part::kKeyBias, Part::kValueWeight, Part::kValueBias,
                             Part::kKeyNorm};
  if (with_queries)
    parts.insert(parts.end(), {Part::kQueryWeight, Part::kQueryBias, Part::kOutputWeight, Part::kQueryNorm});
  const model::Weights weights = model::load_parts(model, layer, parts, type);
  const auto values = [&](Part part) {
    const auto found = weights.find({part, layer});
    return found == weights.end() ? at::Tensor() : found->second;
  };
  const at::Tensor k_bias = values(Part::kKeyBias), v_bias = values(Part::kValueBias),
                   q_bias = values(Part::kQueryBias);
  const bool any_bias = q_bias.defined() || k_bias.defined() || v_bias.defined();
  const auto heads = [&](Part part, const at::Tensor& bias) {
    at::Tensor weight = values(part);
    if (any_bias) {
      const at::Tensor column = bias.defined() ? bias : at::zeros({weight.size(0)}, weight.options());
      weight = at::cat({weight, column.unsqueeze(1)}, 1);
    }
    return weight.unflatten(0, {-1, config.head_dim});
  };
  const auto norm = [&](Part part) {
    const at::Tensor numbers = values(part);
    return numbers.defined() && config.qk_norm_by_head ? numbers.reshape({-1, config.head_dim})
                                                       : at::Tensor();
  };
  AttentionLayer attention{.k_KDN = heads(Part::kKeyWeight, k_bias),
                           .v_KDN = heads(Part::kValueWeight, v_bias),
                           .k_norm_KD = norm(Part::kKeyNorm),
                           .qk_norm = config.qk_norm,
                           .hidden = config.hidden,
                           .rotary_dims = config.rope.dims};
  if (!with_queries) return attention;
  attention.q_HDN = heads(Part::kQueryWeight, q_bias);
  attention.q_norm_HD = norm(Part::kQueryNorm);
  attention.o_MHD = values(Part::kOutputWeight).unflatten(1, {-1, config.head_dim});
  return attention;
}

bool in_attention_layer(const family::ModelConfig& config, Part part) {
  switch (part) {
    case Part::kQueryWeight:
    case Part::kQueryBias:
    case Part::kKeyWeight:
    case Part::kKeyBias:
    case Part::kValueWeight:
    case Part::kValueBias:
    case Part::kOutputWeight:
      return true;
    case Part::kQueryNorm:
    case Part::kKeyNorm:
      return config.qk_norm_by_head;
    default:
      return false;
  }
}

at::Tensor part_of(const family::ModelConfig& config, const AttentionLayer& layer, Part part) {
  const auto weight = [&](const at::Tensor& heads) {
    return heads.narrow(2, 0, layer.hidden).flatten(0, 1).contiguous();
  };
  const auto bias = [&](const at::Tensor& heads) {
    check(layer.has_bias(), "a bias that the layer does not have");
    return heads.select(2, layer.hidden).flatten().contiguous();
  };
  const auto norm = [&](const at::Tensor& heads) {
    return config.qk_norm == family::QkNorm::kRmsOfAll ? heads.flatten().contiguous() : heads.contiguous();
  };
  switch (part) {
    case Part::kQueryWeight:
      return weight(layer.q_HDN);
    case Part::kQueryBias:
      return bias(layer.q_HDN);
    case Part::kKeyWeight:
      return weight(layer.k_KDN);
    case Part::kKeyBias:
      return bias(layer.k_KDN);
    case Part::kValueWeight:
      return weight(layer.v_KDN);
    case Part::kValueBias:
      return bias(layer.v_KDN);
    case Part::kOutputWeight:
      return layer.o_MHD.flatten(1).contiguous();
    case Part::kQueryNorm:
      return norm(layer.q_norm_HD);
    case Part::kKeyNorm:
      return norm(layer.k_norm_KD);
    default:
      check(false, "not a part of an attention layer");
      return {};
  }
}

AttentionLayer permuted(const AttentionLayer& layer, const std::vector<std::int64_t>& order) {
  const at::Tensor kv_order = at::tensor(order, at::kLong);
  AttentionLayer result = layer;
  result.k_KDN = layer.k_KDN.index_select(0, kv_order);
  result.v_KDN = layer.v_KDN.index_select(0, kv_order);
  if (layer.k_norm_KD.defined()) result.k_norm_KD = layer.k_norm_KD.index_select(0, kv_order);
  if (!layer.has_queries()) return result;
  const at::Tensor query_order =
      (kv_order.unsqueeze(1) * layer.group() + at::arange(layer.group(), at::kLong)).flatten();
  result.q_HDN = layer.q_HDN.index_select(0, query_order);
  if (layer.q_norm_HD.defined()) result.q_norm_HD = layer.q_norm_HD.index_select(0, query_order);
  result.o_MHD = layer.o_MHD.index_select(1, query_order);
  return result;
}

}  // namespace regroup::convert
