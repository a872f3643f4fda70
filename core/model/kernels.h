// Row kernels on a CPU: read once, computed in float32, rounded once, written once. Elements are float32 or
// bfloat16; what only training in bfloat16 needs takes that alone.
//
// Plain loops over plain pointers, compiled for several instruction sets and chosen at load time, so that the
// program runs on any x86-64. No LibTorch here: callers own threads, shapes and memory. bfloat16 is its bits.
#pragma once

#include <cstdint>

namespace regroup::model::kernels {

using Bf16 = std::uint16_t;

// What one row of logits says: -ln softmax(logits)[target], the first of its largest elements, and
// KL(softmax(reference) ‖ softmax(logits)), nats; a null reference: 0. Rows of equal elements diverge by
// exactly 0; elsewhere rounding leaves about 1e-8. A NaN or infinity that matters makes them NaN or infinite.
struct RowScores {
  double nats;
  std::int64_t top;
  double divergence;
};
RowScores score_row(const float* logits, const float* reference, std::int64_t n, std::int64_t target);
RowScores score_row(const Bf16* logits, const Bf16* reference, std::int64_t n, std::int64_t target);

// Softmax and cross-entropy of one row of logits: returns -ln softmax(logits)[target] and replaces the logits
// by scale · d/d logits.
double softmax_cross_entropy(float* logits, std::int64_t n, std::int64_t target, float scale);
double softmax_cross_entropy(Bf16* logits, std::int64_t n, std::int64_t target, float scale);

// What softmax_divergence() minimises, as factors of gradients.
struct DivergenceScales {
  float inverse_temperature = 1;
  float divergence_scale = 1;     // of softmax(student / τ) - softmax(teacher / τ)
  float cross_entropy_scale = 0;  // of softmax(student) - [target]
};
struct DivergenceRow {
  double divergence, cross_entropy;
};
// Two rows of logits, p = softmax(teacher / τ) and q = softmax(student / τ): returns KL(p ‖ q) and
// -ln softmax(student)[target], and replaces the student's logits by the sum of the scaled slopes.
DivergenceRow softmax_divergence(float* student, const float* teacher, std::int64_t n, std::int64_t target,
                                 const DivergenceScales& scales);
DivergenceRow softmax_divergence(Bf16* student, const Bf16* teacher, std::int64_t n, std::int64_t target,
                                 const DivergenceScales& scales);

// y = x / sqrt(mean(x²) + epsilon) · weight; returns the reciprocal root, which the backward pass needs.
float rms_norm(const float* x, const float* weight, float* y, std::int64_t n, float epsilon);
float rms_norm(const Bf16* x, const Bf16* weight, Bf16* y, std::int64_t n, float epsilon);
// dx, and adds the row's share to d weight.
void rms_norm_backward(const float* x, const float* weight, const float* dy, float reciprocal, float* dx,
                       float* dweight, std::int64_t n);
void rms_norm_backward(const Bf16* x, const Bf16* weight, const Bf16* dy, float reciprocal, Bf16* dx,
                       float* dweight, std::int64_t n);

// y = silu(gate) · up.
void swiglu(const float* gate, const float* up, float* y, std::int64_t n);
void swiglu(const Bf16* gate, const Bf16* up, Bf16* y, std::int64_t n);
void swiglu_backward(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                     std::int64_t n);
void swiglu_backward(const Bf16* gate, const Bf16* up, const Bf16* dy, Bf16* dgate, Bf16* dup,
                     std::int64_t n);

// Rotates the half-split pairs (j, j + half) of one head: by the angle, or by its opposite where sine_sign is
// -1.
void rotate(const float* x, const float* cosine, const float* sine, float sine_sign, float* y,
            std::int64_t half);
void rotate(const Bf16* x, const float* cosine, const float* sine, float sine_sign, Bf16* y,
            std::int64_t half);

// y += x.
void accumulate(const Bf16* x, float* y, std::int64_t n);

// One row of causal attention scores: probabilities over the first `visible` of `width` columns (the rest
// become zero), not yet normalised; returns their sum, and the maximum of the scaled scores in `largest`.
float softmax_row(const float* scores, Bf16* weights, std::int64_t visible, std::int64_t width, float scale,
                  float* largest);
// y = factor · x, rounded.
void scale_to_bf16(const float* x, Bf16* y, std::int64_t n, float factor);

// y += x.
void add(const float* x, float* y, std::int64_t n);
float dot(const Bf16* x, const Bf16* y, std::int64_t n);

// A pair of rows of the transposed attention matrices, for keys k and k + 1 and `n` queries: with
// p = exp(scale · s - logsum) and ds = p · (dp - delta), writes p of both rows, and ds both row by row and
// interleaved in the pairs that a bfloat16 dot product takes. The first `hidden0` (`hidden1`) queries do not
// see key k (k + 1).
struct TransposedPair {
  const float *s0, *s1, *dp0, *dp1;
  const float *logsum, *delta;
  Bf16 *p0, *p1, *ds0, *ds1;
  std::uint32_t* ds_pairs;
};
void attention_backward_pair(const TransposedPair& rows, std::int64_t n, std::int64_t hidden0,
                             std::int64_t hidden1, float scale);

// Interleaves rows of x [rows, columns] (row stride given) in pairs: out[r/2][c] = (x[r][c], x[r+1][c]); a
// missing last row counts as zero.
void interleave_pairs(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                      std::uint32_t* out);
// out[c/2][r] = (x[r][c], x[r][c+1]): the transpose of x, interleaved in pairs. `columns` is even.
void interleave_transposed(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                           std::uint32_t* out);
// y [columns, rows] (row stride given) = x [rows, columns]ᵀ.
void transpose(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, Bf16* y,
               std::int64_t y_stride);
// y [columns, rows] = factor · x [rows, columns]ᵀ, rounded; x is contiguous.
void transpose_scaled(const float* x, std::int64_t rows, std::int64_t columns, float factor, Bf16* y,
                      std::int64_t y_stride);

}  // namespace regroup::model::kernels
