#include "uptrain/memory.h"

#include <malloc.h>

#include <limits>

namespace regroup::uptrain {

MemoryEstimate estimate_memory(const MemoryQuestion& question) {
  const auto& [config, parameters, trained, teacher_parameters, recipe, precision] = question;
  const bool half = precision == "bf16";
  const double element = half ? 2 : 4;
  // A float32 master, and in bf16 a copy to compute with; of what is trained also gradient and two moments,
  // and gradients as autograd leaves them.
  const double weights = (half ? 6 : 4) * double(parameters) + (12 + element) * double(trained) +
                         element * double(teacher_parameters);
  // A layer keeps: its two residual inputs and their norms, queries and keys before and after rotation,
  // values, the mixed heads, and gate, up and their product.
  const auto M = double(config.hidden), Q = double(config.query_width()), K = double(config.kv_width());
  const double per_token_layer = element * (4 * M + 3 * Q + 3 * K + 3 * double(config.ffn));
  const double tokens = double(recipe.micro_batch * recipe.sequence_length);
  constexpr double kLogits = 3 * (16 << 20);  // a chunk of the output projection and its gradients
  return {.weights = weights,
          .activations = tokens * (double(config.layers) * per_token_layer + 4 * element * M) + kLogits};
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

}  // namespace regroup::uptrain
