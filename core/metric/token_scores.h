// What one model says of every scored token, and how far its distribution is from another model's.
//
// Shapes: N scored tokens in the order of the windows, M hidden, V vocabulary.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "core/data/windows.h"
#include "core/metric/scored_rows.h"
#include "core/model/decoder.h"

namespace regroup::metric {

// A model's distributions at the scored tokens, held as what they are computed from: V/M times smaller than
// the distributions themselves, and exact.
struct Distributions {
  at::Tensor hidden_NM;              // in the arithmetic's type, on the CPU; may be a mapped file
  at::Tensor projection_VM, bias_V;  // an undefined bias is none
};

struct TokenScores {
  at::Tensor nats_N;  // fp64: -ln p(token | what its window holds before it)
  at::Tensor top_N;   // int32: the token of the largest logit, one of them where several are equal
  at::Tensor kl_N;    // fp64: KL(reference || model) in nats over the whole vocabulary; undefined without one
};

struct ScoringOptions {
  std::int64_t batch = 1;
  HiddenStates states = {};                     // empty: the decoder is whole, states_of() it
  const Distributions* reference = nullptr;     // of the same windows
  at::Tensor* keep_hidden_NM = nullptr;         // filled with this model's; the caller allocates it
  std::function<void(std::int64_t)> done = {};  // told how many tokens each batch scored
  std::string where = "the model";              // for messages
};

// Softmax, its logarithm and divergences are taken in fp32 or better, over chunks of rows, so that B x T x V
// is never held. A divergence of 0 is computed as 0 (the same model on the same machine); otherwise rounding
// leaves about 1e-7 nats in fp32, on a CPU a tenth of that (core/model/kernels.h).
//
// With `states` of their own the decoder is asked for no more than its logits.
// UserError naming `where` and the position in `tokens` when a value is NaN or infinite.
TokenScores score_tokens(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                         const std::vector<data::Window>& windows, const ScoringOptions& options);

}  // namespace regroup::metric
