#include "eval/gate.h"

#include <cmath>

#include "eval/eval.h"

namespace regroup::eval {

GateDecision decide(const Estimate& difference, const Gate& gate) {
  GateDecision decision{.verdict = Verdict::kCannotTell, .bounds = {}, .more_tokens = {}};
  if (!difference.standard_error) return decision;
  const double width = one_sided_width(difference, gate.confidence), error = *difference.standard_error;
  const double low = std::exp(difference.mean - width * error);
  const double high = std::exp(difference.mean + width * error);
  decision.bounds = {low, high};
  if (high <= gate.max_ppl_ratio)
    decision.verdict = Verdict::kPass;
  else if (low > gate.max_ppl_ratio)
    decision.verdict = Verdict::kFail;
  if (decision.verdict != Verdict::kCannotTell) return decision;

  constexpr double kPower = 0.8;
  const double margin = std::abs(difference.mean - std::log(gate.max_ppl_ratio));
  const double times = std::pow((width + normal_quantile(kPower)) * error / margin, 2);
  const double more = (times - 1) * static_cast<double>(difference.observations);
  if (more < 1e15) decision.more_tokens = std::llround(more);
  return decision;
}

int exit_code(const Result& result) {
  if (!result.verdict || *result.verdict == Verdict::kPass) return 0;
  return *result.verdict == Verdict::kFail ? 1 : 4;
}

}  // namespace regroup::eval
