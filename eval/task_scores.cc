#include "eval/task_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::eval {
namespace {

using tokenizer::Token;

std::int64_t characters(std::string_view text) {
  std::int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) tokenizer::next_character(text, at);
  return count;
}

struct Encoder {
  const tokenizer::Tokenizer& tokenizer;
  std::optional<Token> document_start;

  std::vector<Token> operator()(const std::string& text) const {
    std::vector<Token> ids = tokenizer.encode(text);
    if (document_start) ids.insert(ids.begin(), *document_start);
    return ids;
  }
};

// Appends one choice; says what is wrong with it, or nothing.
std::string append_request(const Choice& choice, const Encoder& encode, std::int64_t window,
                           Requests& requests) {
  const std::string whole = choice.context + " " + choice.text;
  std::vector<Token> ids = encode(whole);
  const std::int64_t context =
      std::ssize(encode(whole.substr(0, tokenizer::size_without_trailing_space(choice.context))));
  const std::int64_t scored = std::ssize(ids) - context;
  if (context == 0) return "a context without a token";
  if (scored <= 0) return "a continuation without a token of its own";
  if (scored > window) return fmt::format("a continuation of {} tokens", scored);
  const std::int64_t kept = std::min(std::ssize(ids), window + 1);
  requests.windows.push_back(
      {.begin = std::ssize(requests.tokens), .length = kept - 1, .skip = kept - 1 - scored});
  requests.tokens.insert(requests.tokens.end(), ids.end() - kept, ids.end());
  return "";
}

Outcome outcome_of(const Example& example, std::vector<double> nats, bool greedy) {
  Outcome outcome{.nats = std::move(nats), .greedy = greedy};
  std::vector<double> per_character;
  for (std::size_t i = 0; i < outcome.nats.size(); ++i)
    per_character.push_back(outcome.nats[i] / static_cast<double>(characters(example.choices[i].text)));
  const auto least = [](const std::vector<double>& values) {
    return static_cast<std::size_t>(std::ranges::min_element(values) - values.begin());
  };
  outcome.chosen = least(outcome.nats);
  outcome.chosen_per_character = least(per_character);
  return outcome;
}

}  // namespace

Requests encode_tasks(std::span<const TaskData> tasks, const tokenizer::Tokenizer& tokenizer,
                      std::optional<Token> document_start, std::int64_t window) {
  const Encoder encode{tokenizer, document_start};
  Requests requests;
  for (const TaskData& task : tasks)
    for (std::size_t i = 0; i < task.examples.size(); ++i)
      for (const Choice& choice : task.examples[i].choices) {
        const std::string wrong = append_request(choice, encode, window, requests);
        if (wrong.empty()) continue;
        throw UserError(
            {.where = fmt::format("{}, example {}", task.path.string(), i + 1),
             .what = "cannot be scored",
             .expected = fmt::format("a context, and a continuation of 1 to {} tokens (--window)", window),
             .found = wrong});
      }
  return requests;
}

std::vector<std::vector<Outcome>> outcomes_of(std::span<const TaskData> tasks, const Requests& requests,
                                              const Scores& scores) {
  std::vector<std::vector<Outcome>> outcomes;
  std::size_t request = 0, scored = 0;
  for (const TaskData& task : tasks) {
    std::vector<Outcome>& of_task = outcomes.emplace_back();
    for (const Example& example : task.examples) {
      std::vector<double> nats;
      bool greedy = true;
      for (std::size_t choice = 0; choice < example.choices.size(); ++choice) {
        const data::Window& window = requests.windows[request++];
        double sum = 0;
        for (std::int64_t i = window.skip; i < window.length; ++i, ++scored) {
          sum += scores.nats[scored];
          const Token target = requests.tokens[static_cast<std::size_t>(window.begin + i + 1)];
          greedy = greedy && (choice > 0 || scores.top[scored] == target);
        }
        nats.push_back(sum);
      }
      of_task.push_back(outcome_of(example, std::move(nats), greedy));
    }
  }
  check(request == requests.windows.size() && scored == scores.nats.size(), "every request is a choice");
  return outcomes;
}

}  // namespace regroup::eval
