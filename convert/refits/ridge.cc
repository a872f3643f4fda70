#include "convert/refits/refits.h"
#include "core/model/decoder_layer.h"

namespace regroup::convert {

AttentionLayer fit_ridge(const RefitProblem& problem, const AttentionLayer& student) {
  constexpr double kRidge = 1e-3;  // of the mean diagonal of E[z z^T]
  const model::Weights weights = weights_with(problem, student);
  const at::Tensor output_MF = model::weight_of(weights, family::Part::kOutputWeight, problem.layer);
  const std::int64_t width = output_MF.size(1);
  at::Tensor moments_FF = at::zeros({width, width}, at::kDouble),
             missing_MF = at::zeros({output_MF.size(0), width}, at::kDouble);
  const model::DecoderLayer layer(problem.config, weights, problem.layer);
  for_each_batch(0, problem.training, problem.tokens(), [&](std::int64_t begin, std::int64_t count) {
    const at::Tensor heads_BTF = student_heads(problem, weights, begin, count);
    const at::Tensor residual_BTM = problem.target(begin, count) - layer.attention_output(heads_BTF);
    const at::Tensor weighted_FN = (heads_BTF * problem.weight_T1).flatten(0, 1).t();
    moments_FF += at::matmul(weighted_FN, heads_BTF.flatten(0, 1)).to(moments_FF.options());
    missing_MF += at::matmul(weighted_FN, residual_BTM.flatten(0, 1)).t().to(moments_FF.options());
    if (problem.done) problem.done(static_cast<double>(count * problem.tokens()));
  });
  const double ridge = kRidge * moments_FF.trace().item<double>() / static_cast<double>(width);
  moments_FF.diagonal().add_(ridge + 1e-30);
  const at::Tensor change_FM = at::cholesky_solve(missing_MF.t(), at::linalg_cholesky(moments_FF));
  AttentionLayer fitted = student;
  fitted.o_MHD =
      student.o_MHD + change_FM.t().to(student.o_MHD.options()).unflatten(1, {-1, student.head_dim()});
  return fitted;
}

}  // namespace regroup::convert
