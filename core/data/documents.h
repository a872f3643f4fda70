// What training does at the borders of documents: index arithmetic, no data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/windows.h"

namespace regroup::data {

struct DocumentRule {
  std::string_view name, summary;
  bool apart = false;   // a window holds tokens of one document, and may be short
  bool masked = false;  // a window may hold several, and no token sees another document than its own
};

// Every rule, in the order of --help; the first is the default.
std::span<const DocumentRule> document_rules();
const DocumentRule& document_rule(std::string_view name);  // UserError lists the names

// Windows that never cross from one document into the next, in an order that is a pure function of (seed,
// position). A document is cut from its beginning into windows of T tokens, the last as long as what is left;
// an epoch is all of them in a random order, so that every token but the first of each document is a target
// once an epoch. Documents of one token have no target and no window.
class DocumentWindows {
 public:
  // The documents that start at `starts` (ascending) and end where the next one starts, or at `end`.
  // UserError if none has two tokens.
  DocumentWindows(std::span<const std::int64_t> starts, std::int64_t end, std::int64_t length,
                  std::uint64_t seed);
  Window at(std::int64_t position) const;  // position >= 0, unbounded; length from 1 to T
  std::int64_t per_epoch() const { return windows_before_.back(); }

 private:
  std::vector<std::int64_t> starts_, ends_;   // of documents that have a window
  std::vector<std::int64_t> windows_before_;  // one more than there are documents
  std::int64_t length_;
  std::uint64_t seed_;
};

// How long the pieces of a window are that lie in one document each, [sum T]; where the window is shorter
// than T, what fills it up belongs to the last.
std::vector<std::int64_t> document_pieces(std::span<const std::int64_t> starts, const Window& window,
                                          std::int64_t length);

}  // namespace regroup::data
