// From tasks to what a model is asked, and from its answers to what it got right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/data/windows.h"
#include "core/tokenizer/tokenizer.h"
#include "eval/score.h"
#include "eval/task.h"

namespace regroup::eval {

// Every choice of every example of every task, in this order: one window each, whose scored tokens are the
// continuation's.
struct Requests {
  std::vector<tokenizer::Token> tokens;
  std::vector<data::Window> windows;
};

// Ids as lm-eval's HFLM encodes a pair (lm_eval/api/model.py: _encode_pair): spaces at the context's end go
// to the continuation, whose ids are what the whole has beyond the context's; both start with
// `document_start`. What is longer than `window` inputs loses its beginning. UserError naming the example
// where that leaves nothing to score or no context.
Requests encode_tasks(std::span<const TaskData> tasks, const tokenizer::Tokenizer& tokenizer,
                      std::optional<tokenizer::Token> document_start, std::int64_t window);

// What a model makes of one example.
struct Outcome {
  std::vector<double> nats;  // of each choice: -ln p(continuation | context)
  bool greedy = false;       // the first choice is what greedy decoding would say
  std::size_t chosen = 0;    // the likeliest choice, the first of equals
  std::size_t chosen_per_character = 0;
};

// By task, then by example. `scores` are those of encode_tasks()'s windows.
std::vector<std::vector<Outcome>> outcomes_of(std::span<const TaskData> tasks, const Requests& requests,
                                              const Scores& scores);

}  // namespace regroup::eval
