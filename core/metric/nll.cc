#include "core/metric/nll.h"

#include "core/metric/token_scores.h"

namespace regroup::metric {

at::Tensor token_nll(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                     const std::vector<data::Window>& windows, std::int64_t batch,
                     const std::function<void(std::int64_t)>& done, const std::string& where) {
  return score_tokens(decoder, tokens, windows, {.batch = batch, .done = done, .where = where}).nats_N;
}

}  // namespace regroup::metric
