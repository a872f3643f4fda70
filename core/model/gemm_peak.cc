#include "core/model/gemm_peak.h"

#include <algorithm>
#include <chrono>

namespace regroup::model {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Seconds of one product of squares, the result waited for (a GPU runs ahead of the host).
double time_product(const at::Tensor& a, const at::Tensor& b, at::Tensor& c) {
  const auto start = Clock::now();
  at::mm_out(c, a, b);
  if (!c.device().is_cpu()) c.narrow(0, 0, 1).narrow(1, 0, 1).item();
  return seconds_since(start);
}

}  // namespace

double gemm_peak(at::ScalarType dtype, at::Device device) {
  constexpr double kSeconds = 0.25;
  const at::NoGradGuard no_grad;
  const std::int64_t sizes[] = {1024, device.is_cpu() ? 2048 : 8192};
  double best = 0;
  for (const std::int64_t n : sizes) {
    const auto options = at::TensorOptions().dtype(dtype).device(device);
    const at::Tensor a = at::full({n, n}, 0.5, options), b = at::full({n, n}, 0.25, options);
    at::Tensor c = at::empty({n, n}, options);
    time_product(a, b, c);  // the first one prepares kernels and pages
    const auto start = Clock::now();
    do {
      best = std::max(best, 2.0 * double(n) * double(n) * double(n) / time_product(a, b, c));
    } while (seconds_since(start) < kSeconds);
  }
  return best;
}

}  // namespace regroup::model
