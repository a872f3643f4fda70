#include "core/model/accumulate.h"

#include <ATen/Parallel.h>

#include "core/model/kernels.h"

namespace regroup::model {

void accumulate(const at::Tensor& x, const at::Tensor& sum) {
  const bool kernel = x.device().is_cpu() && x.scalar_type() == at::kBFloat16 &&
                      sum.scalar_type() == at::kFloat && x.is_contiguous() && sum.is_contiguous();
  if (!kernel) {
    sum.add_(x);
    return;
  }
  constexpr std::int64_t kGrain = 16384;
  const auto* from = static_cast<const kernels::Bf16*>(x.const_data_ptr());
  auto* to = sum.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::accumulate(from + begin, to + begin, end - begin);
  });
}

}  // namespace regroup::model
