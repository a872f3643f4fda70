#include "core/model/linear_cross_entropy.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/model/accumulate.h"
#include "core/model/kernels.h"

namespace regroup::model {
namespace {

// Rows whose logits exist together: few enough to stay near the cache, enough for products to run at full
// speed.
std::int64_t chunk_rows(std::int64_t vocab, std::int64_t element_bytes) {
  constexpr std::int64_t kBytes = 16 << 20, kFewest = 128;
  return std::max(kFewest, kBytes / (vocab * element_bytes));
}

// Replaces logits by factor · d loss / d logits; the sum of the losses.
double cross_entropy_bf16(const at::Tensor& logits_RV, const at::Tensor& targets_R, float factor) {
  const std::int64_t rows = logits_RV.size(0), vocab = logits_RV.size(1);
  auto* logits = static_cast<kernels::Bf16*>(logits_RV.mutable_data_ptr());
  const auto* targets = targets_R.const_data_ptr<std::int64_t>();
  std::vector<double> losses(rows);
  at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      losses[i] = kernels::softmax_cross_entropy(logits + i * vocab, vocab, targets[i], factor);
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

double cross_entropy(at::Tensor& logits_RV, const at::Tensor& targets_R, double factor) {
  const at::ScalarType dtype = logits_RV.scalar_type();
  const at::Tensor target_R1 = targets_R.unsqueeze(1);
  const at::Tensor log_p_RV = at::log_softmax(logits_RV, 1, dtype == at::kDouble ? at::kDouble : at::kFloat);
  const double sum = -log_p_RV.gather(1, target_R1).sum(at::kDouble).item<double>();
  at::Tensor grad_RV = log_p_RV.exp();
  grad_RV.scatter_add_(1, target_R1, at::full_like(target_R1, -1, grad_RV.options()));
  logits_RV = grad_RV.mul_(factor).to(dtype);
  return sum;
}

}  // namespace

LinearCrossEntropy linear_cross_entropy(const at::Tensor& hidden_NM, const OutputLayer& output,
                                        const at::Tensor& targets_N, double factor) {
  const auto& [projection_VM, bias_V, grad_projection_VM, grad_bias_V] = output;
  check(hidden_NM.dim() == 2 && targets_N.dim() == 1 && hidden_NM.size(0) == targets_N.size(0),
        "every row of hidden states has one target");
  const at::NoGradGuard no_grad;
  LinearCrossEntropy result;
  result.grad_hidden_NM = at::empty_like(hidden_NM);
  const bool kernel = hidden_NM.scalar_type() == at::kBFloat16 && hidden_NM.device().is_cpu();
  const std::int64_t rows = hidden_NM.size(0);
  const std::int64_t chunk = chunk_rows(projection_VM.size(0), hidden_NM.element_size());
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t count = std::min(chunk, rows - begin);
    const at::Tensor hidden_RM = hidden_NM.narrow(0, begin, count);
    const at::Tensor targets_R = targets_N.narrow(0, begin, count);
    at::Tensor logits_RV = at::mm(hidden_RM, projection_VM.t());
    if (bias_V.defined()) logits_RV.add_(bias_V);
    result.sum += kernel ? cross_entropy_bf16(logits_RV, targets_R, static_cast<float>(factor))
                         : cross_entropy(logits_RV, targets_R, factor);
    at::Tensor grad_hidden_RM = result.grad_hidden_NM.narrow(0, begin, count);
    at::mm_out(grad_hidden_RM, logits_RV, projection_VM);
    if (bias_V.defined()) grad_bias_V.add_(logits_RV.sum(0, /*keepdim=*/false, grad_bias_V.scalar_type()));
    if (grad_projection_VM.scalar_type() == logits_RV.scalar_type())
      grad_projection_VM.addmm_(logits_RV.t(), hidden_RM);
    else
      accumulate(at::mm(logits_RV.t(), hidden_RM), grad_projection_VM);
  }
  return result;
}

}  // namespace regroup::model
