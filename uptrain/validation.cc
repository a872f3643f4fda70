#include "uptrain/validation.h"

#include <limits>

#include "core/base/error.h"
#include "core/metric/nll.h"

namespace regroup::uptrain {

double validation_loss(const model::Decoder& model, const data::TokenStream& text, std::int64_t length,
                       std::int64_t batch) {
  const auto windows = data::consecutive_windows(std::ssize(text.tokens), length);
  try {
    return metric::token_nll(model, text.tokens, windows, batch).mean().item<double>();
  } catch (const UserError&) {  // what to do about it is another thing in a run than in an evaluation
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace regroup::uptrain
