#include "core/model/kernels.h"

#include <cmath>

#include "core/model/kernel_parts.h"

namespace regroup::model::kernels {

template <typename Element>
REGROUP_INLINE float norm_elements(const Element* x, const Element* weight, Element* y, std::int64_t n,
                                   float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < n; ++i) squares += widen(x[i]) * widen(x[i]);
  const float reciprocal = 1.f / std::sqrt(squares / static_cast<float>(n) + epsilon);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = rounded<Element>(widen(x[i]) * reciprocal * widen(weight[i]));
  return reciprocal;
}

REGROUP_CLONES
float rms_norm(const float* x, const float* weight, float* y, std::int64_t n, float epsilon) {
  return norm_elements(x, weight, y, n, epsilon);
}

REGROUP_CLONES
float rms_norm(const Bf16* x, const Bf16* weight, Bf16* y, std::int64_t n, float epsilon) {
  return norm_elements(x, weight, y, n, epsilon);
}

template <typename Element>
REGROUP_INLINE void norm_backward_elements(const Element* x, const Element* weight, const Element* dy,
                                           float reciprocal, Element* dx, float* dweight, std::int64_t n) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < n; ++i) dot += widen(dy[i]) * widen(weight[i]) * widen(x[i]);
  const float along = dot * reciprocal * reciprocal * reciprocal / static_cast<float>(n);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float xi = widen(x[i]), dyi = widen(dy[i]);
    dx[i] = rounded<Element>(dyi * widen(weight[i]) * reciprocal - xi * along);
    dweight[i] += dyi * xi * reciprocal;
  }
}

REGROUP_CLONES
void rms_norm_backward(const float* x, const float* weight, const float* dy, float reciprocal, float* dx,
                       float* dweight, std::int64_t n) {
  norm_backward_elements(x, weight, dy, reciprocal, dx, dweight, n);
}

REGROUP_CLONES
void rms_norm_backward(const Bf16* x, const Bf16* weight, const Bf16* dy, float reciprocal, Bf16* dx,
                       float* dweight, std::int64_t n) {
  norm_backward_elements(x, weight, dy, reciprocal, dx, dweight, n);
}

template <typename Element>
REGROUP_INLINE void swiglu_elements(const Element* gate, const Element* up, Element* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]);
    y[i] = rounded<Element>(g / (1.f + exponential(-g)) * widen(up[i]));
  }
}

REGROUP_CLONES
void swiglu(const float* gate, const float* up, float* y, std::int64_t n) {
  swiglu_elements(gate, up, y, n);
}

REGROUP_CLONES
void swiglu(const Bf16* gate, const Bf16* up, Bf16* y, std::int64_t n) {
  swiglu_elements(gate, up, y, n);
}

template <typename Element>
REGROUP_INLINE void swiglu_backward_elements(const Element* gate, const Element* up, const Element* dy,
                                             Element* dgate, Element* dup, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]), d = widen(dy[i]);
    const float sigmoid = 1.f / (1.f + exponential(-g));
    dup[i] = rounded<Element>(d * g * sigmoid);
    dgate[i] = rounded<Element>(d * widen(up[i]) * sigmoid * (1.f + g * (1.f - sigmoid)));
  }
}

REGROUP_CLONES
void swiglu_backward(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                     std::int64_t n) {
  swiglu_backward_elements(gate, up, dy, dgate, dup, n);
}

REGROUP_CLONES
void swiglu_backward(const Bf16* gate, const Bf16* up, const Bf16* dy, Bf16* dgate, Bf16* dup,
                     std::int64_t n) {
  swiglu_backward_elements(gate, up, dy, dgate, dup, n);
}

template <typename Element>
REGROUP_INLINE void rotate_elements(const Element* x, const float* cosine, const float* sine, float sine_sign,
                                    Element* y, std::int64_t half) {
#pragma omp simd
  for (std::int64_t j = 0; j < half; ++j) {
    const float a = widen(x[j]), b = widen(x[j + half]), s = sine[j] * sine_sign;
    y[j] = rounded<Element>(a * cosine[j] - b * s);
    y[j + half] = rounded<Element>(b * cosine[j] + a * s);
  }
}

REGROUP_CLONES
void rotate(const float* x, const float* cosine, const float* sine, float sine_sign, float* y,
            std::int64_t half) {
  rotate_elements(x, cosine, sine, sine_sign, y, half);
}

REGROUP_CLONES
void rotate(const Bf16* x, const float* cosine, const float* sine, float sine_sign, Bf16* y,
            std::int64_t half) {
  rotate_elements(x, cosine, sine, sine_sign, y, half);
}

REGROUP_CLONES
void accumulate(const Bf16* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] += widen(x[i]);
}

REGROUP_CLONES
float softmax_row(const float* scores, Bf16* weights, std::int64_t visible, std::int64_t width, float scale,
                  float* largest) {
  float most = scores[0];
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < visible; ++i) most = scores[i] > most ? scores[i] : most;
  const float offset = most * scale;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < visible; ++i) {
    const float p = exponential(scores[i] * scale - offset);
    sum += p;
    weights[i] = narrow(p);
  }
  for (std::int64_t i = visible; i < width; ++i) weights[i] = 0;
  *largest = offset;
  return sum;
}

REGROUP_CLONES
void scale_to_bf16(const float* x, Bf16* y, std::int64_t n, float factor) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] = narrow(x[i] * factor);
}

REGROUP_CLONES
void attention_backward_pair(const TransposedPair& rows, std::int64_t n, std::int64_t hidden0,
                             std::int64_t hidden1, float scale) {
  // Locals, so that the compiler need not fear that a store moves a pointer.
  const float *s0 = rows.s0, *s1 = rows.s1, *dp0 = rows.dp0, *dp1 = rows.dp1;
  const float *logsum = rows.logsum, *delta = rows.delta;
  Bf16 *p0 = rows.p0, *p1 = rows.p1, *ds0 = rows.ds0, *ds1 = rows.ds1;
  std::uint32_t* ds_pairs = rows.ds_pairs;
  const auto first0 = static_cast<std::int32_t>(hidden0), first1 = static_cast<std::int32_t>(hidden1);
  const auto count = static_cast<std::int32_t>(n);
#pragma omp simd
  for (std::int32_t i = 0; i < count; ++i) {
    const float e0 = exponential(s0[i] * scale - logsum[i]), e1 = exponential(s1[i] * scale - logsum[i]);
    const float a = i < first0 ? 0.f : e0, b = i < first1 ? 0.f : e1;
    const Bf16 da = narrow(a * (dp0[i] - delta[i])), db = narrow(b * (dp1[i] - delta[i]));
    p0[i] = narrow(a);
    p1[i] = narrow(b);
    ds0[i] = da;
    ds1[i] = db;
    ds_pairs[i] = pair(da, db);
  }
}

REGROUP_CLONES
void interleave_pairs(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                      std::uint32_t* out) {
  for (std::int64_t r = 0; r + 1 < rows; r += 2) {
    const Bf16 *low = x + r * stride, *high = low + stride;
    std::uint32_t* to = out + r / 2 * columns;
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) to[c] = pair(low[c], high[c]);
  }
  if (rows % 2 == 1)
    for (std::int64_t c = 0; c < columns; ++c) out[rows / 2 * columns + c] = x[(rows - 1) * stride + c];
}

REGROUP_CLONES
void interleave_transposed(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                           std::uint32_t* out) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; c += 2)
      out[c / 2 * rows + r] = pair(x[r * stride + c], x[r * stride + c + 1]);
}

REGROUP_CLONES
void add(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

REGROUP_CLONES
float dot(const Bf16* x, const Bf16* y, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += widen(x[i]) * widen(y[i]);
  return sum;
}

void transpose(const Bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, Bf16* y,
               std::int64_t y_stride) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) y[c * y_stride + r] = x[r * stride + c];
}

void transpose_scaled(const float* x, std::int64_t rows, std::int64_t columns, float factor, Bf16* y,
                      std::int64_t y_stride) {
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t r = 0; r < rows; ++r) y[c * y_stride + r] = narrow(x[r * columns + c] * factor);
}

}  // namespace regroup::model::kernels
