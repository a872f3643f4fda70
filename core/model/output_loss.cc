#include "core/model/output_loss.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/model/accumulate.h"
#include "core/model/kernels.h"
#include "core/model/norm.h"

namespace regroup::model {
namespace {

// Rows whose logits exist together: few enough to stay near the cache, enough for products to run at full
// speed.
std::int64_t chunk_rows(std::int64_t vocab, std::int64_t element_bytes) {
  constexpr std::int64_t kBytes = 16 << 20, kFewest = 128;
  return std::max(kFewest, kBytes / (vocab * element_bytes));
}

at::Tensor logits(const at::Tensor& hidden_RM, const OutputLayer& output) {
  at::Tensor logits_RV = at::mm(hidden_RM, output.projection_VM.t());
  if (output.bias_V.defined()) logits_RV.add_(output.bias_V);
  return logits_RV;
}

// Adds what gradients of logits mean for the output layer, and gives what they mean for the hidden states.
void pass_back(const at::Tensor& grad_RV, const at::Tensor& hidden_RM, const OutputLayer& output,
               at::Tensor grad_hidden_RM) {
  at::mm_out(grad_hidden_RM, grad_RV, output.projection_VM);
  if (output.grad_bias_V.defined())
    output.grad_bias_V.add_(grad_RV.sum(0, /*keepdim=*/false, output.grad_bias_V.scalar_type()));
  if (!output.grad_projection_VM.defined()) return;
  if (output.grad_projection_VM.scalar_type() == grad_RV.scalar_type())
    output.grad_projection_VM.addmm_(grad_RV.t(), hidden_RM);
  else
    accumulate(at::mm(grad_RV.t(), hidden_RM), output.grad_projection_VM);
}

struct Sums {
  double cross_entropy = 0, divergence = 0;
};

bool has_kernel(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

template <typename Element>
Element* row(const at::Tensor& x_RV, std::int64_t i) {
  return static_cast<Element*>(x_RV.mutable_data_ptr()) + i * x_RV.size(1);
}

// The sums over rows of what `of_row` finds in a row whose target counts; the others' logits become zero.
template <typename Element, typename OfRow>
Sums sum_rows(const at::Tensor& logits_RV, const at::Tensor& targets_R, const OfRow& of_row) {
  const std::int64_t rows = logits_RV.size(0), vocab = logits_RV.size(1);
  const auto* targets = targets_R.const_data_ptr<std::int64_t>();
  std::vector<Sums> found(static_cast<std::size_t>(rows));
  constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread
  at::parallel_for(0, rows, kGrain / vocab + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (targets[i] < 0)
        std::fill_n(row<Element>(logits_RV, i), vocab, Element{0});
      else
        found[static_cast<std::size_t>(i)] = of_row(row<Element>(logits_RV, i), i, targets[i]);
    }
  });
  return std::accumulate(found.begin(), found.end(), Sums{}, [](const Sums& sum, const Sums& of) {
    return Sums{sum.cross_entropy + of.cross_entropy, sum.divergence + of.divergence};
  });
}

template <typename Element>
Sums sum_cross_entropy(const at::Tensor& logits_RV, const at::Tensor& targets_R, double factor) {
  const std::int64_t vocab = logits_RV.size(1);
  return sum_rows<Element>(logits_RV, targets_R, [&](Element* logits, std::int64_t, std::int64_t target) {
    return Sums{.cross_entropy =
                    kernels::softmax_cross_entropy(logits, vocab, target, static_cast<float>(factor))};
  });
}

template <typename Element>
Sums sum_divergence(const at::Tensor& logits_RV, const at::Tensor& teacher_RV, const at::Tensor& targets_R,
                    const kernels::DivergenceScales& scales) {
  const std::int64_t vocab = logits_RV.size(1);
  return sum_rows<Element>(logits_RV, targets_R, [&](Element* logits, std::int64_t i, std::int64_t target) {
    const auto [divergence, cross_entropy] =
        kernels::softmax_divergence(logits, row<Element>(teacher_RV, i), vocab, target, scales);
    return Sums{.cross_entropy = cross_entropy, .divergence = divergence};
  });
}

// Sum of -ln softmax(logits)[target]; `grad_RV` gets `share` times its gradient added.
double add_cross_entropy(const at::Tensor& logits_RV, const at::Tensor& targets_R, double share,
                         const at::Tensor& grad_RV) {
  const at::Tensor counts_R1 = (targets_R >= 0).unsqueeze(1), target_R1 = targets_R.clamp_min(0).unsqueeze(1);
  const at::Tensor log_q_RV = at::log_softmax(logits_RV, 1, grad_RV.scalar_type());
  at::Tensor slope_RV = log_q_RV.exp();
  slope_RV.scatter_add_(1, target_R1, at::full_like(target_R1, -1, slope_RV.options()));
  grad_RV.add_(slope_RV.mul_(counts_R1), share);
  return -log_q_RV.gather(1, target_R1).mul_(counts_R1).sum(at::kDouble).item<double>();
}

// Sum of KL(teacher ‖ student) at a temperature; `grad_RV` gets `share` · τ² times its gradient added.
double add_divergence(const at::Tensor& logits_RV, const at::Tensor& teacher_RV, const at::Tensor& targets_R,
                      double temperature, double share, const at::Tensor& grad_RV) {
  const at::Tensor counts_R1 = (targets_R >= 0).unsqueeze(1);
  const auto log_softmax = [&](const at::Tensor& x_RV) {
    return at::log_softmax(x_RV.to(grad_RV.scalar_type()).div_(temperature), 1);
  };
  const at::Tensor log_q_RV = log_softmax(logits_RV), log_p_RV = log_softmax(teacher_RV),
                   p_RV = log_p_RV.exp();
  grad_RV.add_(log_q_RV.exp().sub_(p_RV).mul_(counts_R1), share * temperature);
  return (log_p_RV - log_q_RV).mul_(p_RV).mul_(counts_R1).sum(at::kDouble).item<double>();
}

at::Tensor zeros_to_accumulate(const at::Tensor& logits_RV) {
  return at::zeros(logits_RV.sizes(), logits_RV.options().dtype(accumulation_type(logits_RV.scalar_type())));
}

Sums cross_entropy_rows(at::Tensor& logits_RV, const at::Tensor& targets_R, double factor) {
  if (has_kernel(logits_RV))
    return logits_RV.scalar_type() == at::kFloat
               ? sum_cross_entropy<float>(logits_RV, targets_R, factor)
               : sum_cross_entropy<kernels::Bf16>(logits_RV, targets_R, factor);
  const at::Tensor grad_RV = zeros_to_accumulate(logits_RV);
  const double sum = add_cross_entropy(logits_RV, targets_R, factor, grad_RV);
  logits_RV = grad_RV.to(logits_RV.scalar_type());
  return {.cross_entropy = sum};
}

Sums distillation_rows(at::Tensor& logits_RV, const at::Tensor& teacher_RV, const at::Tensor& targets_R,
                       const Distillation& distillation, double factor) {
  const double share = distillation.cross_entropy_share, temperature = distillation.temperature;
  if (has_kernel(logits_RV)) {
    const kernels::DivergenceScales scales{
        .inverse_temperature = static_cast<float>(1 / temperature),
        .divergence_scale = static_cast<float>(factor * (1 - share) * temperature),
        .cross_entropy_scale = static_cast<float>(factor * share)};
    return logits_RV.scalar_type() == at::kFloat
               ? sum_divergence<float>(logits_RV, teacher_RV, targets_R, scales)
               : sum_divergence<kernels::Bf16>(logits_RV, teacher_RV, targets_R, scales);
  }
  const at::Tensor grad_RV = zeros_to_accumulate(logits_RV);
  const Sums sums{.cross_entropy = add_cross_entropy(logits_RV, targets_R, factor * share, grad_RV),
                  .divergence = add_divergence(logits_RV, teacher_RV, targets_R, temperature,
                                               factor * (1 - share), grad_RV)};
  logits_RV = grad_RV.to(logits_RV.scalar_type());
  return sums;
}

// Runs `of_logits` over chunks of rows: it replaces logits by gradients.
OutputLoss by_chunks(const at::Tensor& hidden_NM, const OutputLayer& output, const at::Tensor& targets_N,
                     const std::function<Sums(at::Tensor& logits_RV, const at::Tensor& targets_R,
                                              std::int64_t begin)>& of_logits) {
  check(hidden_NM.dim() == 2 && targets_N.dim() == 1 && hidden_NM.size(0) == targets_N.size(0),
        "every row of hidden states has one target");
  const at::NoGradGuard no_grad;
  OutputLoss loss;
  loss.grad_hidden_NM = at::empty_like(hidden_NM);
  const std::int64_t rows = hidden_NM.size(0);
  const std::int64_t chunk = chunk_rows(output.projection_VM.size(0), hidden_NM.element_size());
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t count = std::min(chunk, rows - begin);
    const at::Tensor hidden_RM = hidden_NM.narrow(0, begin, count);
    at::Tensor logits_RV = logits(hidden_RM, output);
    const Sums sums = of_logits(logits_RV, targets_N.narrow(0, begin, count), begin);
    loss.cross_entropy += sums.cross_entropy;
    loss.divergence += sums.divergence;
    pass_back(logits_RV, hidden_RM, output, loss.grad_hidden_NM.narrow(0, begin, count));
  }
  return loss;
}

}  // namespace

OutputLoss cross_entropy_loss(const at::Tensor& hidden_NM, const OutputLayer& output,
                              const at::Tensor& targets_N, double factor) {
  return by_chunks(hidden_NM, output, targets_N,
                   [&](at::Tensor& logits_RV, const at::Tensor& targets_R, std::int64_t) {
                     return cross_entropy_rows(logits_RV, targets_R, factor);
                   });
}

OutputLoss distillation_loss(const at::Tensor& hidden_NM, const OutputLayer& output, const Teacher& teacher,
                             const at::Tensor& targets_N, const Distillation& distillation, double factor) {
  check(teacher.hidden_NM.size(0) == hidden_NM.size(0) &&
            teacher.output.projection_VM.size(0) == output.projection_VM.size(0) &&
            teacher.hidden_NM.scalar_type() == hidden_NM.scalar_type(),
        "a teacher of the student's rows, vocabulary and dtype");
  return by_chunks(hidden_NM, output, targets_N,
                   [&](at::Tensor& logits_RV, const at::Tensor& targets_R, std::int64_t begin) {
                     const at::Tensor teacher_RV =
                         logits(teacher.hidden_NM.narrow(0, begin, logits_RV.size(0)), teacher.output);
                     return distillation_rows(logits_RV, teacher_RV, targets_R, distillation, factor);
                   });
}

}  // namespace regroup::model
