// The places of the text at which a model loses most against the source.
#pragma once

#include <vector>

#include "eval/result.h"
#include "eval/scored_text.h"
#include "eval/statistics.h"

namespace regroup::eval {

inline constexpr std::int64_t kPassageTokens = 8;    // at most, in a passage
inline constexpr std::size_t kPassages = 5;          // of a model
inline constexpr std::int64_t kPassageContext = 24;  // tokens before; a third of it after

// Runs of up to kPassageTokens scored tokens of one document whose summed difference to the source is
// largest, worst first, none overlapping another; fewer where nothing is lost.
std::vector<Passage> worst_passages(const Comparison& comparison, const ScoredText& text);

}  // namespace regroup::eval
