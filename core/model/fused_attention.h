// Causal attention in bfloat16 on a CPU, forward and backward, from small matrix products that stay in the
// cache.
//
// What LibTorch's own CPU flash attention does, at the speed of the machine's bfloat16 units: products go
// through LibTorch's batch-reduce GEMM (AVX512-BF16 or AMX, whichever the machine has), scores and gradients
// of scores are float32 and live only as one block of rows, masked blocks are skipped.
#pragma once

#include <ATen/ATen.h>

namespace regroup::model {

// Whether the function below can run here: bfloat16 on a CPU whose small matrix products work (tried once),
// the same number of queries and keys, an even head_dim, and heads whose elements lie next to each other.
bool fused_attention_applies(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD);

// softmax(scale · q kᵀ, causal) v with H/K query heads sharing a key/value head: [B, H, T, D], a view whose
// memory is [B, T, H, D]. Differentiable once.
at::Tensor fused_causal_attention(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD,
                                  const at::Tensor& v_BKTD, double scale);

}  // namespace regroup::model
