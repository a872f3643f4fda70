// The row kernels over logits: their softmax is as wide as a vocabulary.
#include <algorithm>
#include <cmath>

#include "core/model/kernel_parts.h"
#include "core/model/kernels.h"

namespace regroup::model::kernels {

template <typename Element>
REGROUP_INLINE float largest_of(const Element* x, std::int64_t n) {
  float largest = widen(x[0]);
#pragma omp simd reduction(max : largest)
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = widen(x[i]);
    largest = value > largest ? value : largest;
  }
  return largest;
}

// Terms that are summed in float32 before the sum goes on in float64: rounding is that of so many terms,
// however long a row.
constexpr std::int64_t kBlock = 1024;

template <typename Element>
REGROUP_INLINE double sum_of_exponentials(const Element* x, std::int64_t n, float largest) {
  double sum = 0;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t end = std::min(n, begin + kBlock);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (std::int64_t i = begin; i < end; ++i) part += exponential(widen(x[i]) - largest);
    sum += static_cast<double>(part);
  }
  return sum;
}

// Of two rows of logits, less their largest and divided by a temperature: the sums of their exponentials, and
// the reference's weighting of the distance between the two. Equal rows have equal sums and no distance.
struct PairSums {
  double model = 0, reference = 0, apart = 0;
  double divergence() const { return apart / reference + std::log(model) - std::log(reference); }
};

template <typename Element>
REGROUP_INLINE PairSums sums_of_pair(const Element* model, const Element* reference, std::int64_t n,
                                     float top_m, float top_r, float inverse_temperature) {
  PairSums sums;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t end = std::min(n, begin + kBlock);
    float of_model = 0, of_reference = 0, apart = 0;
#pragma omp simd reduction(+ : of_model, of_reference, apart)
    for (std::int64_t i = begin; i < end; ++i) {
      const float m = (widen(model[i]) - top_m) * inverse_temperature,
                  r = (widen(reference[i]) - top_r) * inverse_temperature;
      const float e = exponential(r);
      of_model += exponential(m);
      of_reference += e;
      apart += e * (r - m);
    }
    sums.model += static_cast<double>(of_model);
    sums.reference += static_cast<double>(of_reference);
    sums.apart += static_cast<double>(apart);
  }
  return sums;
}

// -ln p of a logit, of a row whose largest is known and the sum of exponentials less that.
REGROUP_INLINE double nats_of(float logit, float largest, double sum) {
  return std::log(sum) - (static_cast<double>(logit) - static_cast<double>(largest));
}

// The first of the largest elements. A row with a NaN has no largest, and no loss that anyone would take.
template <typename Element>
REGROUP_INLINE std::int64_t place_of_largest(const Element* x, std::int64_t n) {
  float largest = widen(x[0]);
  std::int64_t block = 0;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const float of_block = largest_of(x + begin, std::min(n - begin, kBlock));
    if (of_block > largest) largest = of_block, block = begin;
  }
  for (std::int64_t i = block; i < n; ++i)
    if (widen(x[i]) == largest) return i;
  return 0;
}

template <typename Element>
REGROUP_INLINE RowScores score_elements(const Element* logits, const Element* reference, std::int64_t n,
                                        std::int64_t target) {
  RowScores scores{.nats = 0, .top = place_of_largest(logits, n), .divergence = 0};
  const float largest = widen(logits[scores.top]);
  double sum = 0;
  if (reference == nullptr) {
    sum = sum_of_exponentials(logits, n, largest);
  } else {
    const PairSums sums =
        sums_of_pair(logits, reference, n, largest, largest_of(reference, n), /*inverse_temperature=*/1.f);
    sum = sums.model;
    scores.divergence = sums.divergence();
  }
  scores.nats = nats_of(widen(logits[target]), largest, sum);
  return scores;
}

REGROUP_CLONES
RowScores score_row(const float* logits, const float* reference, std::int64_t n, std::int64_t target) {
  return score_elements(logits, reference, n, target);
}

REGROUP_CLONES
RowScores score_row(const Bf16* logits, const Bf16* reference, std::int64_t n, std::int64_t target) {
  return score_elements(logits, reference, n, target);
}

template <typename Element>
REGROUP_INLINE double cross_entropy_elements(Element* logits, std::int64_t n, std::int64_t target,
                                             float scale) {
  const float largest = largest_of(logits, n), at_target = widen(logits[target]);
  const double sum = sum_of_exponentials(logits, n, largest);
  const auto factor = static_cast<float>(static_cast<double>(scale) / sum);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i)
    logits[i] = rounded<Element>(exponential(widen(logits[i]) - largest) * factor);
  logits[target] = rounded<Element>(exponential(at_target - largest) * factor - scale);
  return nats_of(at_target, largest, sum);
}

REGROUP_CLONES
double softmax_cross_entropy(float* logits, std::int64_t n, std::int64_t target, float scale) {
  return cross_entropy_elements(logits, n, target, scale);
}

REGROUP_CLONES
double softmax_cross_entropy(Bf16* logits, std::int64_t n, std::int64_t target, float scale) {
  return cross_entropy_elements(logits, n, target, scale);
}

// Factors of exponentials in the slope of one logit of the student.
struct SlopeFactors {
  float of_q, of_p, of_plain;
};

// Replaces the student's logits by slopes; at the target a cross-entropy has one term more.
template <typename Element>
REGROUP_INLINE void slopes_of_pair(Element* student, const Element* teacher, std::int64_t n, float top_s,
                                   float top_t, float cold, const SlopeFactors& factors) {
  const auto [of_q, of_p, of_plain] = factors;
  if (cold == 1.f || of_plain == 0.f) {
    const float of_student = cold == 1.f ? of_q + of_plain : of_q;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i)
      student[i] = rounded<Element>(exponential((widen(student[i]) - top_s) * cold) * of_student -
                                    exponential((widen(teacher[i]) - top_t) * cold) * of_p);
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float s = widen(student[i]) - top_s;
    student[i] = rounded<Element>(exponential(s * cold) * of_q + exponential(s) * of_plain -
                                  exponential((widen(teacher[i]) - top_t) * cold) * of_p);
  }
}

template <typename Element>
REGROUP_INLINE DivergenceRow divergence_elements(Element* student, const Element* teacher, std::int64_t n,
                                                 std::int64_t target, const DivergenceScales& scales) {
  const float cold = scales.inverse_temperature;
  const float top_s = largest_of(student, n), top_t = largest_of(teacher, n);
  const float logit = widen(student[target]), at_target = logit - top_s,
              teacher_at_target = (widen(teacher[target]) - top_t) * cold;
  const PairSums sums = sums_of_pair(student, teacher, n, top_s, top_t, cold);
  const double plain = cold == 1.f ? sums.model : sum_of_exponentials(student, n, top_s);
  const auto share = [](float scale, double sum) {
    return static_cast<float>(static_cast<double>(scale) / sum);
  };
  const SlopeFactors factors{share(scales.divergence_scale, sums.model),
                             share(scales.divergence_scale, sums.reference),
                             share(scales.cross_entropy_scale, plain)};
  slopes_of_pair(student, teacher, n, top_s, top_t, cold, factors);
  student[target] = rounded<Element>(exponential(at_target * cold) * factors.of_q -
                                     exponential(teacher_at_target) * factors.of_p +
                                     exponential(at_target) * factors.of_plain - scales.cross_entropy_scale);
  return {sums.divergence(), nats_of(logit, top_s, plain)};
}

REGROUP_CLONES
DivergenceRow softmax_divergence(float* student, const float* teacher, std::int64_t n, std::int64_t target,
                                 const DivergenceScales& scales) {
  return divergence_elements(student, teacher, n, target, scales);
}

REGROUP_CLONES
DivergenceRow softmax_divergence(Bf16* student, const Bf16* teacher, std::int64_t n, std::int64_t target,
                                 const DivergenceScales& scales) {
  return divergence_elements(student, teacher, n, target, scales);
}

}  // namespace regroup::model::kernels
