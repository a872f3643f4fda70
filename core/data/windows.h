// Which tokens make an input: pure index arithmetic, no data.
//
// An input of T tokens at position p is [p, p+T), its targets [p+1, p+T+1).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace regroup::data {

struct Window {
  std::int64_t begin = 0, length = 0;
  std::int64_t skip = 0;  // inputs at the front whose targets are not scored: context alone
  std::int64_t scored() const { return length - skip; }
  bool operator==(const Window&) const = default;
};

// How many targets windows score.
std::int64_t scored_tokens(std::span<const Window> windows);

// Evaluation: inputs [iW, min((i+1)W, N-1)) for all i, so that every token but the stream's first is a target
// exactly once. UserError unless `tokens`, N, is at least 2.
std::vector<Window> consecutive_windows(std::int64_t tokens, std::int64_t window);

// Disjoint blocks of `window` >= 2 tokens [iW, iW+W), each a window of its own whose first token is no
// target; an incomplete last block is left out. UserError unless there is one block (GPTQ, opt.py: opt_eval).
std::vector<Window> whole_blocks(std::int64_t tokens, std::int64_t window);

// Blocks of `window` >= 2 tokens that start `stride` tokens apart, 1 <= stride < window, until one reaches
// the end; each scores what the one before did not reach, so that every token but the stream's first is a
// target exactly once. UserError unless `tokens` is at least 2 (Hugging Face, "Perplexity of fixed-length
// models").
std::vector<Window> strided_windows(std::int64_t tokens, std::int64_t window, std::int64_t stride);

// whole_blocks(), W >= 3, of each the second half alone: with h = W/2 rounded down, targets are tokens
// [iW + h + 1, (i+1)W), so that each has at least h tokens before it (llama.cpp, tools/perplexity).
std::vector<Window> half_blocks(std::int64_t tokens, std::int64_t window);

// Every document on its own. `starts` are the positions of tokens that each stand before a document, are
// never a target, and are followed by its tokens up to the next start or to `tokens`. Disjoint windows of W
// inputs, the last moved back to W inputs where the document has them: every token of a document is a target
// exactly once. UserError where no document has a token (lm-eval, loglikelihood_rolling with a context of 1).
std::vector<Window> rolling_windows(std::span<const std::int64_t> starts, std::int64_t tokens,
                                    std::int64_t window);

// Training: the order of inputs as a pure function of (seed, position), so that a resumed run needs no state.
// An epoch is disjoint windows of length T, one after the other from a random offset in [0, T), in a random
// order: as many as fit at every offset, so that epochs are equally long. Every epoch has its own offset and
// order; the up to 2T - 1 tokens that one leaves out at the ends come in others. Fewer than 2T tokens make
// one window an epoch, anywhere; fewer than T + 1 are a UserError.
class ShuffledWindows {
 public:
  ShuffledWindows(std::int64_t tokens, std::int64_t length, std::uint64_t seed);
  Window at(std::int64_t position) const;  // position >= 0, unbounded

 private:
  std::int64_t tokens_, length_, per_epoch_;
  std::uint64_t seed_;
};

}  // namespace regroup::data
