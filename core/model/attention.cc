#include "core/model/attention.h"

#include <limits>
#include <optional>

#include "core/model/fused_attention.h"
#include "core/model/norm.h"

namespace regroup::model {
namespace {

// What is added to the scores of the last T of S tokens, [H or 1, T, S]: minus infinity where a token does
// not look.
at::Tensor score_bias(const ScoreRule& rule, std::int64_t tokens, std::int64_t seen,
                      at::TensorOptions options) {
  const at::Tensor key_S = at::arange(seen, options.dtype(at::kLong)),
                   query_T1 = at::arange(seen - tokens, seen, options.dtype(at::kLong)).unsqueeze(1);
  at::Tensor hidden_TS = key_S > query_T1;
  if (rule.window > 0) hidden_TS = hidden_TS.logical_or(key_S <= query_T1 - rule.window);
  at::Tensor bias = at::zeros({1, 1, 1}, options);
  if (rule.slopes_H.defined()) {
    const at::Tensor slopes_H11 = rule.slopes_H.view({-1, 1, 1}).to(options);
    bias = rule.bfloat16_slopes ? (slopes_H11.to(at::kBFloat16) * key_S).to(options) : slopes_H11 * key_S;
    bias = bias * rule.slope_scale;
  }
  return bias.masked_fill(hidden_TS, -std::numeric_limits<double>::infinity());
}

bool is_plain(const ScoreRule& rule, std::int64_t seen) {
  return !rule.slopes_H.defined() && (rule.window == 0 || rule.window >= seen);
}

}  // namespace

ScoreRule score_rule(const family::ModelConfig& config, std::int64_t layer) {
  ScoreRule rule{.scale = config.attention_scale,
                 .window = config.window(layer),
                 .slopes_H = {},
                 .bfloat16_slopes = config.alibi_bfloat16,
                 .slope_scale = config.alibi_scale};
  if (config.attention_scale_by_layer) rule.scale /= static_cast<double>(layer + 1);
  if (config.positions == family::Positions::kAlibi)
    rule.slopes_H = at::tensor(at::ArrayRef<double>(config.alibi_slopes), at::kDouble);
  return rule;
}

at::Tensor causal_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD,
                            const ScoreRule& rule) {
  const std::int64_t tokens = q_BHTD.size(2);
  const bool plain = is_plain(rule, tokens);
  if (plain && fused_attention_applies(q_BHTD, k_BKTD, v_BKTD))
    return fused_causal_attention(q_BHTD, k_BKTD, v_BKTD, rule.scale);
  std::optional<at::Tensor> bias;
  if (!plain) bias = score_bias(rule, tokens, tokens, q_BHTD.options()).unsqueeze(0);
  return at::scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, bias, /*dropout_p=*/0.0,
                                          /*is_causal=*/plain, rule.scale,
                                          /*enable_gqa=*/q_BHTD.size(1) != k_BKTD.size(1));
}

at::Tensor cached_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKSD, const at::Tensor& v_BKSD,
                            const ScoreRule& rule) {
  const std::int64_t batch = q_BHTD.size(0), heads = q_BHTD.size(1), tokens = q_BHTD.size(2);
  const std::int64_t head_dim = q_BHTD.size(3), kv_heads = k_BKSD.size(1), seen = k_BKSD.size(2);
  const at::ScalarType type = q_BHTD.scalar_type();
  // One matrix product per key/value head: the rows are its group's queries.
  const at::Tensor rows = q_BHTD.reshape({batch, kv_heads, heads / kv_heads * tokens, head_dim});
  at::Tensor scores = (at::matmul(rows, k_BKSD.transpose(2, 3)) * rule.scale).to(accumulation_type(type));
  if (tokens > 1 || !is_plain(rule, seen)) {
    const at::Tensor bias = score_bias(rule, tokens, seen, scores.options());
    scores = (scores.view({batch, heads, tokens, seen}) + bias).view(scores.sizes());
  }
  return at::matmul(scores.softmax(-1).to(type), v_BKSD).view({batch, heads, tokens, head_dim});
}

}  // namespace regroup::model
