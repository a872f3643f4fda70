#include "core/model/kernels.h"

#include <bit>
#include <cmath>

// One clone a level of x86-64, picked by the loader. Others compile for what they are.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define REGROUP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define REGROUP_CLONES
#endif
#define REGROUP_INLINE [[gnu::always_inline]] static inline

namespace regroup::model::kernels {

REGROUP_INLINE float widen(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

// To nearest, ties to even. The NaNs that x86 arithmetic makes stay NaNs; payloads are not kept.
REGROUP_INLINE Bf16 narrow(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<Bf16>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

REGROUP_INLINE std::uint32_t pair(Bf16 low, Bf16 high) {
  return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
}

// exp(x) to 2 ulp within +-87; 0 below, where it would be subnormal, and exp(87) above. 2^n · e^r with r
// within ln2 / 2, polynomial and split of ln 2 as in Cephes' expf.
REGROUP_INLINE float exponential(float x) {
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.f;  // 1.5 · 2^23: adding it leaves the nearest integer in the low bits
  constexpr float kMost = 87.f;
  const float below = x > kMost ? kMost : x;
  const float clamped = below < -kMost ? -kMost : below;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float poly = 1.9875691500e-4f;
  poly = poly * r + 1.3981999507e-3f;
  poly = poly * r + 8.3334519073e-3f;
  poly = poly * r + 4.1665795894e-2f;
  poly = poly * r + 1.6666665459e-1f;
  poly = poly * r + 5.0000001201e-1f;
  const float power = poly * r * r + r + 1.f;
  const std::uint32_t exponent =
      (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound) + 127U) << 23;
  const float value = power * std::bit_cast<float>(exponent);
  return x < -kMost ? 0.f : value;
}

REGROUP_INLINE float largest_of(const Bf16* x, std::int64_t n) {
  float largest = widen(x[0]);
#pragma omp simd reduction(max : largest)
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = widen(x[i]);
    largest = value > largest ? value : largest;
  }
  return largest;
}

REGROUP_CLONES
double softmax_cross_entropy(Bf16* logits, std::int64_t n, std::int64_t target, float scale) {
  const float largest = largest_of(logits, n);
  const float at_target = widen(logits[target]);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += exponential(widen(logits[i]) - largest);
  const float factor = scale / sum;
  for (std::int64_t i = 0; i < n; ++i) logits[i] = narrow(exponential(widen(logits[i]) - largest) * factor);
  const float probability = exponential(at_target - largest) / sum;
  logits[target] = narrow((probability - 1.f) * scale);
  return std::log(static_cast<double>(sum)) - (static_cast<double>(at_target) - static_cast<double>(largest));
}

REGROUP_CLONES
DivergenceRow softmax_divergence(Bf16* student, const Bf16* teacher, std::int64_t n, std::int64_t target,
                                 const DivergenceScales& scales) {
  const float cold = scales.inverse_temperature;
  const float top_s = largest_of(student, n), top_t = largest_of(teacher, n);
  const float at_target = widen(student[target]) - top_s;
  // Sums of exponentials: the teacher's and the student's at the temperature, the student's at 1; and the
  // teacher's weighting of the distance between the two.
  float sum_t = 0, sum_s = 0, plain = 0, apart = 0;
#pragma omp simd reduction(+ : sum_t, sum_s, apart)
  for (std::int64_t i = 0; i < n; ++i) {
    const float t = (widen(teacher[i]) - top_t) * cold, s = (widen(student[i]) - top_s) * cold;
    const float e = exponential(t);
    sum_t += e;
    sum_s += exponential(s);
    apart += e * (t - s);
  }
  if (cold == 1.f) {
    plain = sum_s;
  } else {
#pragma omp simd reduction(+ : plain)
    for (std::int64_t i = 0; i < n; ++i) plain += exponential(widen(student[i]) - top_s);
  }
  const float of_q = scales.divergence_scale / sum_s, of_p = scales.divergence_scale / sum_t,
              of_plain = scales.cross_entropy_scale / plain;
  const float slope_at_target = exponential(at_target * cold) * of_q -
                                exponential((widen(teacher[target]) - top_t) * cold) * of_p +
                                exponential(at_target) * of_plain - scales.cross_entropy_scale;
  if (cold == 1.f || scales.cross_entropy_scale == 0.f) {
    const float of_student = cold == 1.f ? of_q + of_plain : of_q;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i)
      student[i] = narrow(exponential((widen(student[i]) - top_s) * cold) * of_student -
                          exponential((widen(teacher[i]) - top_t) * cold) * of_p);
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const float s = widen(student[i]) - top_s;
      student[i] = narrow(exponential(s * cold) * of_q + exponential(s) * of_plain -
                          exponential((widen(teacher[i]) - top_t) * cold) * of_p);
    }
  }
  student[target] = narrow(slope_at_target);
  return {static_cast<double>(apart) / static_cast<double>(sum_t) + std::log(static_cast<double>(sum_s)) -
              std::log(static_cast<double>(sum_t)),
          std::log(static_cast<double>(plain)) - static_cast<double>(at_target)};
}

REGROUP_CLONES
float rms_norm(const Bf16* x, const Bf16* weight, Bf16* y, std::int64_t n, float epsilon) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < n; ++i) squares += widen(x[i]) * widen(x[i]);
  const float reciprocal = 1.f / std::sqrt(squares / static_cast<float>(n) + epsilon);
  for (std::int64_t i = 0; i < n; ++i) y[i] = narrow(widen(x[i]) * reciprocal * widen(weight[i]));
  return reciprocal;
}

REGROUP_CLONES
void rms_norm_backward(const Bf16* x, const Bf16* weight, const Bf16* dy, float reciprocal, Bf16* dx,
                       float* dweight, std::int64_t n) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < n; ++i) dot += widen(dy[i]) * widen(weight[i]) * widen(x[i]);
  const float along = dot * reciprocal * reciprocal * reciprocal / static_cast<float>(n);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float xi = widen(x[i]), dyi = widen(dy[i]);
    dx[i] = narrow(dyi * widen(weight[i]) * reciprocal - xi * along);
    dweight[i] += dyi * xi * reciprocal;
  }
}

REGROUP_CLONES
void swiglu(const Bf16* gate, const Bf16* up, Bf16* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]);
    y[i] = narrow(g / (1.f + exponential(-g)) * widen(up[i]));
  }
}

REGROUP_CLONES
void swiglu_backward(const Bf16* gate, const Bf16* up, const Bf16* dy, Bf16* dgate, Bf16* dup,
                     std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = widen(gate[i]), d = widen(dy[i]);
    const float sigmoid = 1.f / (1.f + exponential(-g));
    dup[i] = narrow(d * g * sigmoid);
    dgate[i] = narrow(d * widen(up[i]) * sigmoid * (1.f + g * (1.f - sigmoid)));
  }
}

REGROUP_CLONES
void rotate(const Bf16* x, const float* cosine, const float* sine, float sine_sign, Bf16* y,
            std::int64_t half) {
#pragma omp simd
  for (std::int64_t j = 0; j < half; ++j) {
    const float a = widen(x[j]), b = widen(x[j + half]), s = sine[j] * sine_sign;
    y[j] = narrow(a * cosine[j] - b * s);
    y[j + half] = narrow(b * cosine[j] + a * s);
  }
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
