#include "uptrain/validation.h"

#include <algorithm>
#include <limits>

#include "core/base/error.h"
#include "core/metric/nll.h"

namespace regroup::uptrain {

std::vector<data::Window> validation_windows(const data::TokenStream& text, const data::DocumentRule& rule,
                                             std::int64_t length) {
  const std::int64_t tokens = std::ssize(text.tokens);
  if (!rule.apart && !rule.masked) return data::consecutive_windows(tokens, length);
  const data::DocumentWindows by_document(text.document_starts, tokens, length, /*seed=*/0);
  std::vector<data::Window> windows;
  for (std::int64_t i = 0; i < by_document.per_epoch(); ++i) windows.push_back(by_document.at(i));
  std::ranges::sort(windows, {}, &data::Window::begin);
  return windows;
}

double validation_loss(const model::Decoder& model, const data::TokenStream& text,
                       const std::vector<data::Window>& windows, std::int64_t batch) {
  try {
    return metric::token_nll(model, text.tokens, windows, batch).mean().item<double>();
  } catch (const UserError&) {  // what to do about it is another thing in a run than in an evaluation
    return std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace regroup::uptrain
