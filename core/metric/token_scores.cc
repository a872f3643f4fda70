#include "core/metric/token_scores.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/model/kernels.h"

namespace regroup::metric {
namespace {

at::Tensor in_float(const at::Tensor& logits) {
  return logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
}

// What the row kernels take stays as it is; elsewhere at least fp32.
at::Tensor to_score(const at::Tensor& logits) {
  return logits.device().is_cpu() && logits.scalar_type() == at::kBFloat16 ? logits : in_float(logits);
}

bool has_kernel(const at::Tensor& logits) {
  return logits.device().is_cpu() && logits.scalar_type() != at::kDouble;
}

// Sum over the vocabulary of p (ln p - ln q), p the reference's.
at::Tensor kl_divergence(const at::Tensor& reference_RV, const at::Tensor& logits_RV) {
  const at::Tensor log_p_RV = reference_RV.log_softmax(1);
  at::Tensor difference_RV = log_p_RV - logits_RV.log_softmax(1);
  return difference_RV.mul_(log_p_RV.exp()).sum(1, /*keepdim=*/false, at::kDouble);
}

// Of chosen tokens, one a row of logits; an undefined reference is none.
TokenScores score_plainly(const at::Tensor& logits_RV, const at::Tensor& targets_R,
                          const at::Tensor& reference_RV) {
  const at::Tensor chosen_R = logits_RV.gather(1, targets_R.unsqueeze(1)).squeeze(1);
  return {.nats_N = (logits_RV.logsumexp(1) - chosen_R).to(at::kDouble),
          .top_N = logits_RV.argmax(1).to(at::kInt),
          .kl_N = reference_RV.defined() ? kl_divergence(reference_RV, logits_RV) : at::Tensor()};
}

template <typename Element>
TokenScores score_by_rows(const at::Tensor& logits_RV, const at::Tensor& targets_R,
                          const at::Tensor& reference_RV) {
  const std::int64_t rows = logits_RV.size(0), vocab = logits_RV.size(1);
  TokenScores scores{at::empty({rows}, at::kDouble), at::empty({rows}, at::kInt),
                     reference_RV.defined() ? at::empty({rows}, at::kDouble) : at::Tensor()};
  const auto elements = [](const at::Tensor& x) { return static_cast<const Element*>(x.const_data_ptr()); };
  const Element *logits = elements(logits_RV),
                *reference = reference_RV.defined() ? elements(reference_RV) : nullptr;
  const auto* targets = targets_R.const_data_ptr<std::int64_t>();
  auto* nats = scores.nats_N.mutable_data_ptr<double>();
  auto* top = scores.top_N.mutable_data_ptr<std::int32_t>();
  auto* kl = reference ? scores.kl_N.mutable_data_ptr<double>() : nullptr;
  constexpr std::int64_t kGrain = 16384;  // elements that are worth a thread
  at::parallel_for(0, rows, kGrain / vocab + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const model::kernels::RowScores row = model::kernels::score_row(
          logits + i * vocab, reference ? reference + i * vocab : nullptr, vocab, targets[i]);
      nats[i] = row.nats;
      top[i] = static_cast<std::int32_t>(row.top);
      if (kl) kl[i] = row.divergence;
    }
  });
  return scores;
}

TokenScores score_logits(const at::Tensor& logits_RV, const at::Tensor& targets_R,
                         const at::Tensor& reference_RV) {
  if (!has_kernel(logits_RV)) return score_plainly(logits_RV, targets_R, reference_RV);
  if (logits_RV.scalar_type() == at::kBFloat16)
    return score_by_rows<model::kernels::Bf16>(logits_RV, targets_R, reference_RV);
  return score_by_rows<float>(logits_RV, targets_R, reference_RV);
}

// Where the rows of a batch stand, one number a row: chunks of rows need not respect windows.
std::vector<std::int64_t> places_of(const ScoredRows& rows) {
  std::vector<std::int64_t> places;
  for (const Run& run : rows.runs)
    for (std::int64_t i = 0; i < run.count; ++i) places.push_back(run.offset + i);
  return places;
}

// The reference's logits for rows [begin, end) of a batch.
at::Tensor reference_logits(const Distributions& reference, const std::vector<std::int64_t>& places,
                            std::int64_t begin, std::int64_t end) {
  const at::Tensor index =
      at::from_blob(const_cast<std::int64_t*>(places.data()) + begin, {end - begin}, at::kLong);
  const at::Tensor hidden_RM =
      reference.hidden_NM.index_select(0, index).to(reference.projection_VM.device());
  return reference.bias_V.defined() ? at::linear(hidden_RM, reference.projection_VM, reference.bias_V)
                                    : at::linear(hidden_RM, reference.projection_VM);
}

TokenScores score_batch(const model::Decoder& decoder, const ScoredRows& rows,
                        const Distributions* reference) {
  const std::int64_t count = rows.hidden_NM.size(0), chunk = rows_per_chunk(decoder.config().vocab_size);
  const std::vector<std::int64_t> places = places_of(rows);
  std::vector<at::Tensor> nats, tops, kls;
  for (std::int64_t begin = 0; begin < count; begin += chunk) {
    const std::int64_t end = std::min(count, begin + chunk);
    const TokenScores scores = score_logits(
        to_score(decoder.logits(rows.hidden_NM.slice(0, begin, end))), rows.targets_N.slice(0, begin, end),
        reference ? to_score(reference_logits(*reference, places, begin, end)) : at::Tensor());
    nats.push_back(scores.nats_N);
    tops.push_back(scores.top_N);
    if (reference) kls.push_back(scores.kl_N);
  }
  return {at::cat(nats).cpu(), at::cat(tops).cpu(), reference ? at::cat(kls).cpu() : at::Tensor()};
}

void require_finite(const at::Tensor& values_N, const ScoredRows& rows, std::string_view what,
                    const std::string& where) {
  const auto* values = values_N.const_data_ptr<double>();
  std::int64_t row = 0;
  for (const Run& run : rows.runs)
    for (std::int64_t i = 0; i < run.count; ++i, ++row) {
      if (std::isfinite(values[row])) continue;
      throw UserError(
          {.where = where,
           .what = fmt::format("the {} of the token at position {} of the data is {}", what,
                               run.first_target + i, values[row]),
           .remedy = "Its weights or this --dtype overflow: try --dtype fp32, or look at the weights"});
    }
}

}  // namespace

TokenScores score_tokens(const model::Decoder& decoder, const std::vector<std::int32_t>& tokens,
                         const std::vector<data::Window>& windows, const ScoringOptions& options) {
  const std::int64_t scored = data::scored_tokens(windows);
  check(!options.reference || options.reference->hidden_NM.size(0) == scored,
        "the reference knows the same tokens");
  TokenScores scores{at::empty({scored}, at::kDouble), at::empty({scored}, at::kInt),
                     options.reference ? at::empty({scored}, at::kDouble) : at::Tensor()};
  const HiddenStates states = options.states ? options.states : states_of(decoder);
  for_each_batch(states, tokens, windows, options.batch, [&](const ScoredRows& rows) {
    const TokenScores batch = score_batch(decoder, rows, options.reference);
    require_finite(batch.nats_N, rows, "loss", options.where);
    place(rows, batch.nats_N, scores.nats_N);
    place(rows, batch.top_N, scores.top_N);
    if (options.reference) {
      require_finite(batch.kl_N, rows, "KL divergence", options.where);
      place(rows, batch.kl_N, scores.kl_N);
    }
    if (options.keep_hidden_NM) place(rows, rows.hidden_NM, *options.keep_hidden_NM);
    if (options.done) options.done(rows.hidden_NM.size(0));
  });
  return scores;
}

}  // namespace regroup::metric
