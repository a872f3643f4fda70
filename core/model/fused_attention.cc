#include "core/model/fused_attention.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/model/kernels.h"

// Notation: T tokens, D head_dim, R rows of a block. "pairs" is the layout in which a bfloat16 product takes
// its right operand: two consecutive rows interleaved, so that [K, N] becomes [K/2, N] of 32 bits.

namespace regroup::model {
namespace {

using kernels::Bf16;
using Pairs = std::uint32_t;

// One head's matrix inside a larger tensor: rows `stride` elements apart.
struct Rows {
  const Bf16* data;
  std::int64_t stride;
  const Bf16* row(std::int64_t i) const { return data + i * stride; }
};

struct MutableRows {
  Bf16* data;
  std::int64_t stride;
  Bf16* row(std::int64_t i) const { return data + i * stride; }
};

Rows head(const at::Tensor& x_BHTD, std::int64_t batch, std::int64_t index) {
  const auto* data = static_cast<const Bf16*>(x_BHTD.const_data_ptr());
  return {data + batch * x_BHTD.stride(0) + index * x_BHTD.stride(1), x_BHTD.stride(2)};
}

MutableRows mutable_head(const at::Tensor& x_BHTD, std::int64_t batch, std::int64_t index) {
  auto* data = static_cast<Bf16*>(x_BHTD.mutable_data_ptr());
  return {data + batch * x_BHTD.stride(0) + index * x_BHTD.stride(1), x_BHTD.stride(2)};
}

struct Shape {
  std::int64_t m, n, k;
};

// C [m, n] = A [m, k] · B [k, n] (+ C): A bfloat16, B pairs, C float32.
void multiply(const Shape& shape, const Bf16* a, std::int64_t lda, const Pairs* b, std::int64_t ldb, float* c,
              std::int64_t ldc, bool add = false) {
  at::native::cpublas::brgemm(shape.m, shape.n, shape.k, lda, ldb, ldc, add,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c,
                              /*is_vnni=*/true);
}

std::int64_t even(std::int64_t n) {
  return n + n % 2;
}

// Rows of a block: a block's float32 scores and what is made of them stay within a core's second-level cache.
std::int64_t block_rows(std::int64_t tokens) {
  constexpr std::int64_t kBytes = 512 * 1024, kBytesPerScore = 16;
  std::int64_t rows = 64;
  while (rows > 16 && rows * tokens * kBytesPerScore > kBytes) rows /= 2;
  return rows;
}

// What one thread needs for the forward pass of a head.
struct ForwardScratch {
  ForwardScratch(std::int64_t tokens, std::int64_t dim)
      : rows(block_rows(tokens)),
        k_pairs_DT(dim / 2 * tokens),
        v_pairs_TD(even(tokens) / 2 * dim),
        scores_RT(rows * even(tokens)),
        weights_RT(rows * even(tokens)),
        out_RD(rows * dim),
        reciprocal_R(rows) {}
  std::int64_t rows;
  std::vector<Pairs> k_pairs_DT, v_pairs_TD;
  std::vector<float> scores_RT;
  std::vector<Bf16> weights_RT;
  std::vector<float> out_RD, reciprocal_R;
};

struct HeadShape {
  std::int64_t tokens, dim;
  float scale;
};

void forward_head(const HeadShape& shape, Rows q, Rows k, Rows v, MutableRows out, float* logsum_T,
                  ForwardScratch& scratch) {
  const auto [T, D, scale] = shape;
  const std::int64_t width = even(T);
  kernels::interleave_transposed(k.data, k.stride, T, D, scratch.k_pairs_DT.data());
  kernels::interleave_pairs(v.data, v.stride, T, D, scratch.v_pairs_TD.data());
  for (std::int64_t begin = 0; begin < T; begin += scratch.rows) {
    const std::int64_t end = std::min(begin + scratch.rows, T), rows = end - begin;
    float* scores = scratch.scores_RT.data();
    Bf16* weights = scratch.weights_RT.data();
    multiply({rows, end, D}, q.row(begin), q.stride, scratch.k_pairs_DT.data(), T, scores, width);
    for (std::int64_t i = 0; i < rows; ++i) {
      float largest = 0;
      const float sum = kernels::softmax_row(scores + i * width, weights + i * width, begin + i + 1,
                                             even(end), scale, &largest);
      logsum_T[begin + i] = largest + std::log(sum);
      scratch.reciprocal_R[i] = 1 / sum;
    }
    multiply({rows, D, even(end)}, weights, width, scratch.v_pairs_TD.data(), D, scratch.out_RD.data(), D);
    for (std::int64_t i = 0; i < rows; ++i)
      kernels::scale_to_bf16(scratch.out_RD.data() + i * D, out.row(begin + i), D, scratch.reciprocal_R[i]);
  }
}

// What one thread needs for the backward pass of a head. Score matrices are held transposed, [keys of the
// block, queries that see them]: then probabilities come from a row-wise exp, and both dV and dK are plain
// products.
struct BackwardScratch {
  BackwardScratch(std::int64_t tokens, std::int64_t dim)
      : rows(block_rows(tokens)),
        q_pairs_DT(dim / 2 * tokens),
        dout_pairs_DT(dim / 2 * tokens),
        q_pairs_TD(even(tokens) / 2 * dim),
        dout_pairs_TD(even(tokens) / 2 * dim),
        k_DT(dim * even(tokens)),
        dq_DT(dim * tokens),
        delta_T(tokens),
        scores_RT(rows * tokens),
        dweights_RT(rows * tokens),
        weights_RT(rows * even(tokens)),
        dscores_RT(rows * even(tokens)),
        dscores_pairs_RT(rows / 2 * tokens) {}
  std::int64_t rows;
  std::vector<Pairs> q_pairs_DT, dout_pairs_DT, q_pairs_TD, dout_pairs_TD;
  std::vector<Bf16> k_DT;
  std::vector<float> dq_DT, delta_T, scores_RT, dweights_RT;
  std::vector<Bf16> weights_RT, dscores_RT;
  std::vector<Pairs> dscores_pairs_RT;
};

struct HeadGradient {
  MutableRows dq;
  float *dk_TD, *dv_TD;  // of this query head alone, float32
};

// Probabilities and gradients of scores for the keys [begin, end), seen by the queries from `begin` on.
void backward_scores(const HeadShape& shape, std::int64_t begin, std::int64_t end, const float* logsum_T,
                     BackwardScratch& s) {
  const std::int64_t T = shape.tokens, n = T - begin, width = even(T), rows = end - begin;
  for (std::int64_t i = 0; i < rows; i += 2) {
    const bool both =
        i + 1 < rows;  // else the second row of the pair is computed into the first one's padding
    const std::int64_t j = both ? i + 1 : i;
    kernels::TransposedPair pair{.s0 = s.scores_RT.data() + i * T,
                                 .s1 = s.scores_RT.data() + j * T,
                                 .dp0 = s.dweights_RT.data() + i * T,
                                 .dp1 = s.dweights_RT.data() + j * T,
                                 .logsum = logsum_T + begin,
                                 .delta = s.delta_T.data() + begin,
                                 .p0 = s.weights_RT.data() + i * width,
                                 .p1 = s.weights_RT.data() + (i + 1) * width,
                                 .ds0 = s.dscores_RT.data() + i * width,
                                 .ds1 = s.dscores_RT.data() + (i + 1) * width,
                                 .ds_pairs = s.dscores_pairs_RT.data() + i / 2 * T};
    kernels::attention_backward_pair(pair, n, i, both ? i + 1 : n, shape.scale);
    for (const std::int64_t row : {i, i + 1})
      if (n % 2 == 1) s.weights_RT[row * width + n] = s.dscores_RT[row * width + n] = 0;
  }
}

void backward_head(const HeadShape& shape, Rows q, Rows k, Rows v, Rows out, Rows dout, const float* logsum_T,
                   const HeadGradient& gradient, BackwardScratch& s) {
  const auto [T, D, scale] = shape;
  const std::int64_t width = even(T);
  kernels::interleave_transposed(q.data, q.stride, T, D, s.q_pairs_DT.data());
  kernels::interleave_transposed(dout.data, dout.stride, T, D, s.dout_pairs_DT.data());
  kernels::interleave_pairs(q.data, q.stride, T, D, s.q_pairs_TD.data());
  kernels::interleave_pairs(dout.data, dout.stride, T, D, s.dout_pairs_TD.data());
  kernels::transpose(k.data, k.stride, T, D, s.k_DT.data(), width);
  for (std::int64_t t = 0; t < T; ++t) s.delta_T[t] = kernels::dot(out.row(t), dout.row(t), D);
  std::ranges::fill(s.dq_DT, 0.f);
  for (std::int64_t begin = 0; begin < T; begin += s.rows) {
    const std::int64_t end = std::min(begin + s.rows, T), rows = end - begin, n = T - begin;
    multiply({rows, n, D}, k.row(begin), k.stride, s.q_pairs_DT.data() + begin, T, s.scores_RT.data(), T);
    multiply({rows, n, D}, v.row(begin), v.stride, s.dout_pairs_DT.data() + begin, T, s.dweights_RT.data(),
             T);
    backward_scores(shape, begin, end, logsum_T, s);
    multiply({rows, D, even(n)}, s.weights_RT.data(), width, s.dout_pairs_TD.data() + begin / 2 * D, D,
             gradient.dv_TD + begin * D, D);
    multiply({rows, D, even(n)}, s.dscores_RT.data(), width, s.q_pairs_TD.data() + begin / 2 * D, D,
             gradient.dk_TD + begin * D, D);
    multiply({D, n, even(rows)}, s.k_DT.data() + begin, width, s.dscores_pairs_RT.data(), T,
             s.dq_DT.data() + begin, T, /*add=*/true);
  }
  kernels::transpose_scaled(s.dq_DT.data(), D, T, scale, gradient.dq.data, gradient.dq.stride);
}

// [B, H, T, D] seen, [B, T, H, D] stored: what the output projection reads.
at::Tensor empty_like_heads(const at::Tensor& x_BHTD) {
  return at::empty({x_BHTD.size(0), x_BHTD.size(2), x_BHTD.size(1), x_BHTD.size(3)}, x_BHTD.options())
      .transpose(1, 2);
}

// Sums the query heads that share a key/value head, and rounds.
at::Tensor sum_groups(const at::Tensor& dx_BHTD, const at::Tensor& like_BKTD, float factor) {
  at::Tensor dx_BKTD = empty_like_heads(like_BKTD);
  const std::int64_t B = like_BKTD.size(0), K = like_BKTD.size(1), T = like_BKTD.size(2),
                     D = like_BKTD.size(3);
  const std::int64_t H = dx_BHTD.size(1), group = H / K;
  float* source = dx_BHTD.mutable_data_ptr<float>();
  at::parallel_for(0, B * K, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      float* sum = source + i * group * T * D;
      for (std::int64_t g = 1; g < group; ++g) kernels::add(sum + g * T * D, sum, T * D);
      const MutableRows rows = mutable_head(dx_BKTD, i / K, i % K);
      for (std::int64_t t = 0; t < T; ++t) kernels::scale_to_bf16(sum + t * D, rows.row(t), D, factor);
    }
  });
  return dx_BKTD;
}

struct CausalAttention : torch::autograd::Function<CausalAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, double scale) {
    const std::int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3), group = H / k.size(1);
    at::Tensor out = empty_like_heads(q);
    const at::Tensor logsum_BHT = at::empty({B, H, T}, q.options().dtype(at::kFloat));
    at::parallel_for(0, B * H, 1, [&](std::int64_t first, std::int64_t last) {
      ForwardScratch scratch(T, D);
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t b = i / H, h = i % H;
        forward_head({T, D, static_cast<float>(scale)}, head(q, b, h), head(k, b, h / group),
                     head(v, b, h / group), mutable_head(out, b, h),
                     logsum_BHT.mutable_data_ptr<float>() + i * T, scratch);
      }
      at::native::cpublas::brgemm_release();
    });
    context->save_for_backward({q, k, v, out, logsum_BHT});
    context->saved_data["scale"] = scale;
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &logsum_BHT = saved[4];
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    const at::Tensor dout = gradients[0].stride(3) == 1 ? gradients[0] : gradients[0].contiguous();
    const std::int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3), group = H / k.size(1);
    const at::Tensor dq = empty_like_heads(q);
    const at::Tensor dk_BHTD = at::empty({B, H, T, D}, q.options().dtype(at::kFloat));
    const at::Tensor dv_BHTD = at::empty_like(dk_BHTD);
    at::parallel_for(0, B * H, 1, [&](std::int64_t first, std::int64_t last) {
      BackwardScratch scratch(T, D);
      for (std::int64_t i = first; i < last; ++i) {
        const std::int64_t b = i / H, h = i % H;
        const HeadGradient gradient{mutable_head(dq, b, h), dk_BHTD.mutable_data_ptr<float>() + i * T * D,
                                    dv_BHTD.mutable_data_ptr<float>() + i * T * D};
        backward_head({T, D, scale}, head(q, b, h), head(k, b, h / group), head(v, b, h / group),
                      head(out, b, h), head(dout, b, h), logsum_BHT.const_data_ptr<float>() + i * T, gradient,
                      scratch);
      }
      at::native::cpublas::brgemm_release();
    });
    return {dq, sum_groups(dk_BHTD, k, scale), sum_groups(dv_BHTD, v, 1.f), at::Tensor()};
  }
};

// A 16 x 16 x 16 product against the same one done by hand: LibTorch refuses on machines without the
// instructions.
bool small_products_work() {
  constexpr std::int64_t n = 16;
  std::vector<Bf16> a(n * n), b(n * n);
  std::vector<Pairs> b_pairs(n * n / 2);
  std::vector<float> values_a(n * n), values_b(n * n), c(n * n);
  for (std::int64_t i = 0; i < n * n; ++i) {
    values_a[i] = static_cast<float>(i % 7 - 3);
    values_b[i] = static_cast<float>(i % 5 - 2);
  }
  kernels::scale_to_bf16(values_a.data(), a.data(), n * n, 1);
  kernels::scale_to_bf16(values_b.data(), b.data(), n * n, 1);
  kernels::interleave_pairs(b.data(), n, n, n, b_pairs.data());
  try {
    multiply({n, n, n}, a.data(), n, b_pairs.data(), n, c.data(), n);
    at::native::cpublas::brgemm_release();
  } catch (const std::exception&) {
    return false;
  }
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::int64_t l = 0; l < n; ++l) sum += values_a[i * n + l] * values_b[l * n + j];
      if (c[i * n + j] != sum) return false;
    }
  return true;
}

}  // namespace

bool fused_attention_applies(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  static const bool machine_can = small_products_work();
  const auto fits = [](const at::Tensor& x) {
    return x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && x.dim() == 4 && x.stride(3) == 1;
  };
  return machine_can && fits(q) && fits(k) && fits(v) && q.size(2) == k.size(2) && q.size(2) > 0 &&
         q.size(3) % 2 == 0 && v.size(3) == q.size(3);
}

at::Tensor fused_causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  double scale) {
  check(fused_attention_applies(q, k, v), "fused attention was called with what it does not take");
  return CausalAttention::apply(q, k, v, scale);
}

}  // namespace regroup::model
