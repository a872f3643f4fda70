// What errors are taken over: documents, or stretches of text where documents are few.
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

inline constexpr std::int64_t kEnoughDocuments = 30;
inline constexpr double kLargestShare = 0.1;  // of the tokens, in one document
inline constexpr std::int64_t kBlocks = 64;

// By document if at least kEnoughDocuments of them hold scored tokens and none holds more than kLargestShare:
// a document that outweighs the rest determines the mean, and its own deviation from it vanishes. Otherwise
// by block: kBlocks contiguous runs of whole windows, their numbers equal or one apart; fewer blocks where
// there are fewer windows.
Clusters choose_clusters(std::span<const data::Window> windows,
                         std::span<const std::int64_t> document_starts);

}  // namespace regroup::eval
