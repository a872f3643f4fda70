// The decision a release hangs on: is the perplexity ratio to the source within budget?
#pragma once

#include "core/base/statistics.h"
#include "eval/result.h"

namespace regroup::eval {

// `difference` is the paired difference to the source, nats per token. Pass: the one-sided upper confidence
// bound of exp(difference) is at most the budget. Fail: the one-sided lower bound is above it. Neither, or
// fewer than two clusters: cannot tell.
//
// more_tokens assumes that errors shrink with the square root of the text and that the difference stays; it
// is the number with which the decision falls in four of five cases. Empty when no number can be given.
GateDecision decide(const Estimate& difference, const Gate& gate);

}  // namespace regroup::eval
