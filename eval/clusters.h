// What errors are taken over: documents, or stretches of a text that is but one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/data/windows.h"

namespace regroup::eval {

struct Clusters {
  std::vector<std::int64_t> ends;  // in scored tokens (statistics.h)
  std::string unit;                // "document" or "block"
  std::string summary;             // a sentence for reports
};

inline constexpr std::int64_t kEnoughDocuments = 30;  // for narrow intervals
inline constexpr double kLargestShare = 0.5;          // of the tokens, in one document
inline constexpr std::int64_t kBlocks = 64;

// By document, unless one of them holds more than kLargestShare of the scored tokens: tokens of a document
// have more in common than tokens of two, however few there are, and Student's t with few degrees of freedom
// says how little few of them tell. One document says nothing of others, so a text that is mostly one is cut
// into kBlocks contiguous runs of whole windows, their numbers equal or one apart; fewer where there are
// fewer windows. Errors are then those of more text like it.
Clusters choose_clusters(std::span<const data::Window> windows,
                         std::span<const std::int64_t> document_starts);

}  // namespace regroup::eval
