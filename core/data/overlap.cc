#include "core/data/overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <span>
#include <vector>

#include "core/base/error.h"

namespace regroup::data {
namespace {

using Index = std::uint32_t;
constexpr Index kNone = std::numeric_limits<Index>::max();

// A polynomial of the tokens modulo 2^64, of the last `run` of them.
class RollingHash {
 public:
  explicit RollingHash(std::int64_t run) {
    for (std::int64_t i = 0; i < run; ++i) leaving_ *= kBase;
  }
  void enter(Token token) { state_ = state_ * kBase + digit(token); }
  void leave(Token token) { state_ -= leaving_ * digit(token); }  // after the one that takes its place
  // Low bits of the polynomial depend on low bits of the tokens only; these depend on all.
  std::uint64_t value() const { return (state_ ^ state_ >> 32) * 0x9e3779b97f4a7c15ULL; }

 private:
  static constexpr std::uint64_t kBase = 0xd1342543de82ef95ULL;
  static std::uint64_t digit(Token token) { return static_cast<std::uint64_t>(token) + 1; }
  std::uint64_t state_ = 0, leaving_ = 1;
};

// Calls `each(position, hash)` for every run of tokens.
template <typename Each>
void slide(std::span<const Token> tokens, std::int64_t run, Each each) {
  RollingHash hash(run);
  for (std::int64_t i = 0; i < std::ssize(tokens); ++i) {
    hash.enter(tokens[static_cast<std::size_t>(i)]);
    if (i >= run) hash.leave(tokens[static_cast<std::size_t>(i - run)]);
    if (i >= run - 1) each(i - run + 1, hash.value());
  }
}

// The runs of a stream by their hash: open addressing, at most half full. Of equal runs the first stands for
// all.
class Runs {
 public:
  Runs(std::span<const Token> tokens, std::int64_t run)
      : tokens_(tokens),
        run_(static_cast<std::size_t>(run)),
        first_like_(tokens.size() - run_ + 1),
        slots_(std::bit_ceil(2 * first_like_.size()), kNone),
        shift_(64 - std::countr_zero(slots_.size())) {
    slide(tokens, run, [&](std::int64_t position, std::uint64_t hash) {
      Index& slot = find(hash, tokens_.subspan(static_cast<std::size_t>(position), run_));
      if (slot == kNone) slot = static_cast<Index>(position);
      first_like_[static_cast<std::size_t>(position)] = slot;
    });
  }

  // The slot of the run that is `wanted`, or where it would stand.
  Index& find(std::uint64_t hash, std::span<const Token> wanted) {
    for (std::size_t at = hash >> shift_;; at = (at + 1) & (slots_.size() - 1))
      if (slots_[at] == kNone || std::ranges::equal(tokens_.subspan(slots_[at], run_), wanted))
        return slots_[at];
  }

  Index first_like(std::size_t position) const { return first_like_[position]; }
  std::size_t size() const { return first_like_.size(); }

 private:
  std::span<const Token> tokens_;
  std::size_t run_;
  std::vector<Index> first_like_, slots_;
  int shift_;
};

}  // namespace

Overlap overlap(const TokenStream& train, const TokenStream& held_out, std::int64_t run) {
  check(run >= 1, "a run has tokens");
  check(held_out.tokens.size() < kNone, "a held-out stream of fewer than 2^32 tokens");
  Overlap result;
  if (std::ssize(held_out.tokens) < run || std::ssize(train.tokens) < run) return result;
  Runs runs(held_out.tokens, run);
  std::vector<bool> found(runs.size());
  const std::span<const Token> training(train.tokens);
  const auto length = static_cast<std::size_t>(run);
  slide(training, run, [&](std::int64_t position, std::uint64_t hash) {
    const Index like = runs.find(hash, training.subspan(static_cast<std::size_t>(position), length));
    if (like != kNone) found[like] = true;
  });
  std::size_t counted = 0;  // tokens before it are looked at
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!found[runs.first_like(i)]) continue;
    if (!result.first) result.first = {.held_out = static_cast<std::int64_t>(i)};
    result.tokens += static_cast<std::int64_t>(i + length - std::max(counted, i));
    counted = i + length;
  }
  result.share = static_cast<double>(result.tokens) / static_cast<double>(held_out.tokens.size());
  if (result.first) {
    const auto wanted =
        std::span(held_out.tokens).subspan(static_cast<std::size_t>(result.first->held_out), length);
    result.first->train = std::ranges::search(training, wanted).begin() - training.begin();
  }
  return result;
}

std::string place_of(const TokenStream& stream, std::int64_t token) {
  const auto last_start = [](const std::vector<std::int64_t>& starts, std::int64_t position) {
    return std::ranges::upper_bound(starts, position) - starts.begin() - 1;
  };
  const auto source = last_start(stream.source_starts, token),
             document = last_start(stream.document_starts, token);
  check(source >= 0 && document >= 0, "a token stands in a document of a file");
  const auto file = static_cast<std::size_t>(source);
  return fmt::format("{}, document {}, token {}", stream.sources.at(file),
                     document - last_start(stream.document_starts, stream.source_starts[file]) + 1,
                     token - stream.document_starts[static_cast<std::size_t>(document)] + 1);
}

}  // namespace regroup::data
