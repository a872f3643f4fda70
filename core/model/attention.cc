#include "core/model/attention.h"

#include <cmath>
#include <limits>

#include "core/model/fused_attention.h"
#include "core/model/norm.h"

namespace regroup::model {

at::Tensor causal_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD) {
  if (fused_attention_applies(q_BHTD, k_BKTD, v_BKTD))
    return fused_causal_attention(q_BHTD, k_BKTD, v_BKTD, 1 / std::sqrt(static_cast<double>(q_BHTD.size(3))));
  return at::scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                          /*is_causal=*/true, /*scale=*/std::nullopt,
                                          /*enable_gqa=*/q_BHTD.size(1) != k_BKTD.size(1));
}

at::Tensor cached_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKSD, const at::Tensor& v_BKSD) {
  const std::int64_t batch = q_BHTD.size(0), heads = q_BHTD.size(1), tokens = q_BHTD.size(2);
  const std::int64_t head_dim = q_BHTD.size(3), kv_heads = k_BKSD.size(1), seen = k_BKSD.size(2);
  const at::ScalarType type = q_BHTD.scalar_type();
  // One matrix product per key/value head: the rows are its group's queries.
  const at::Tensor rows = q_BHTD.reshape({batch, kv_heads, heads / kv_heads * tokens, head_dim});
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  at::Tensor scores = (at::matmul(rows, k_BKSD.transpose(2, 3)) * scale).to(accumulation_type(type));
  if (tokens > 1) {
    const at::Tensor future_TS =
        at::ones({tokens, seen}, scores.options().dtype(at::kBool)).triu(seen - tokens + 1);
    scores = scores.view({batch, kv_heads, heads / kv_heads, tokens, seen})
                 .masked_fill(future_TS, -std::numeric_limits<double>::infinity())
                 .view(scores.sizes());
  }
  return at::matmul(scores.softmax(-1).to(type), v_BKSD).view({batch, heads, tokens, head_dim});
}

}  // namespace regroup::model
