// What a training run reads, window by window: sources by weight, documents by rule, and the rows of a batch.
//
//   const TrainingWindows windows(stream, {.length = T, .seed = seed});
//   copy_window(stream, windows.at(position), windows.rule(), inputs, targets);
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "core/data/documents.h"
#include "core/data/mixture.h"
#include "core/data/token_stream.h"
#include "core/data/windows.h"

namespace regroup::data {

struct WindowOptions {
  std::int64_t length = 0;  // T
  std::uint64_t seed = 0;
  std::vector<double> weights = {};       // of the stream's files; empty: the files are one source
  std::string_view documents = "joined";  // a row of document_rules()
};

// The order of windows as a pure function of (stream, options, position): a resumed run needs no state.
// Without weights and with documents joined or masked it is that of ShuffledWindows over the whole stream.
// With weights every file is a source of its own, which no window leaves; windows of one source come in its
// own order, epoch by epoch, and Interleaving says whose turn it is. Looked up in constant time, logarithmic
// for "apart".
class TrainingWindows {
 public:
  // UserError for weights that are none (whole_weights()), and for a source too short for a window, by name.
  TrainingWindows(const TokenStream& stream, const WindowOptions& options);
  Window at(std::int64_t position) const;  // position >= 0, unbounded; shorter than T only with "apart"
  const DocumentRule& rule() const { return rule_; }

 private:
  struct Source {
    std::int64_t begin = 0;  // what positions of `order` count from
    std::variant<ShuffledWindows, DocumentWindows> order;
  };
  Source source_of(const TokenStream& stream, std::int64_t begin, std::int64_t end, std::int64_t length,
                   std::uint64_t seed) const;

  const DocumentRule& rule_;
  std::vector<Source> sources_;
  Interleaving turns_;
};

// Where a row has no target: a loss passes over it.
inline constexpr std::int64_t kNoTarget = -1;

// A row of a batch: the window's tokens to `inputs`, what comes after each to `targets`, both of T numbers.
// kNoTarget stands after a short window, whose inputs are filled up with token 0, and, where documents are
// masked, at the last token of a document. Returns how many targets there are.
std::int64_t copy_window(const TokenStream& stream, const Window& window, const DocumentRule& rule,
                         std::span<std::int64_t> inputs, std::span<std::int64_t> targets);

}  // namespace regroup::data
