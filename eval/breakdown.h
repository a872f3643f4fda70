// The difference to the source by kinds of tokens: where it comes from. One row a way of telling tokens
// apart.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/result.h"
#include "eval/scored_text.h"
#include "eval/statistics.h"

namespace regroup::eval {

// Every scored token belongs to one part.
struct Partition {
  std::vector<std::string> labels;
  std::vector<std::size_t> part_of;
};

struct Breakdown {
  std::string_view key, title, summary;  // in JSON; above a table; one sentence
  std::size_t worst;                     // parts shown, those that cost most first; 0: all, in their order
  Partition (*partition)(const ScoredText& text);
};

std::span<const Breakdown> breakdowns();

// A row of result parts for each row of breakdowns(); empty where all tokens are in one part. Errors are over
// the clusters' tokens of a part alone.
std::vector<std::vector<PartResult>> break_down(const Comparison& comparison, const ScoredText& text,
                                                double confidence);

}  // namespace regroup::eval
