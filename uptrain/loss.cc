#include "uptrain/loss.h"

#include <array>

#include "core/model/linear_cross_entropy.h"

namespace regroup::uptrain {
namespace {

LossOutput next_token(const LossInput& input) {
  const auto [sum, grad_hidden_NM] =
      model::linear_cross_entropy(input.hidden_NM, input.output, input.targets_N, input.factor);
  return {sum, grad_hidden_NM};
}

constexpr std::array kLosses{
    Loss{"cross-entropy", "of the next token (Ainslie et al. 2023)", next_token},
};

}  // namespace

std::span<const Loss> losses() {
  return kLosses;
}

}  // namespace regroup::uptrain
