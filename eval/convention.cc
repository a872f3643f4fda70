#include "eval/convention.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"

namespace regroup::eval {
namespace {

std::vector<data::Window> llama_cpp_windows(data::TokenStream& stream, std::int64_t window,
                                            const Specials& specials) {
  std::vector<data::Window> windows = data::half_blocks(std::ssize(stream.tokens), window);
  if (specials.document_start)
    for (const data::Window& each : windows)
      stream.tokens[static_cast<std::size_t>(each.begin)] = *specials.document_start;
  return windows;
}

// Puts `prefix` before every document.
void insert_prefixes(data::TokenStream& stream, data::Token prefix) {
  std::vector<data::Token> tokens;
  std::vector<std::int64_t> starts;
  tokens.reserve(stream.tokens.size() + stream.document_starts.size());
  for (std::size_t d = 0; d < stream.document_starts.size(); ++d) {
    const std::int64_t size = std::ssize(stream.tokens), begin = stream.document_starts[d];
    if (begin >= size) break;  // beyond --max-tokens
    const bool last = d + 1 == stream.document_starts.size();
    const std::int64_t end = last ? size : std::min(size, stream.document_starts[d + 1]);
    starts.push_back(std::ssize(tokens));
    tokens.push_back(prefix);
    tokens.insert(tokens.end(), stream.tokens.begin() + begin, stream.tokens.begin() + end);
  }
  stream.tokens = std::move(tokens);
  stream.document_starts = std::move(starts);
}

std::vector<data::Window> lm_eval_windows(data::TokenStream& stream, std::int64_t window,
                                          const Specials& specials) {
  if (!specials.prefix)
    throw UserError({.where = "--convention lm-eval",
                     .what = "the source's tokenizer has neither BOS nor EOS",
                     .expected = "a token that documents can be predicted from",
                     .remedy = "Another convention needs none"});
  insert_prefixes(stream, *specials.prefix);
  return data::rolling_windows(stream.document_starts, std::ssize(stream.tokens), window);
}

constexpr Convention kAll[] = {
    {.name = "consecutive",
     .summary = "Disjoint windows of W inputs [iW, iW+W), targets shifted by one: every token but the "
                "first of the stream is scored exactly once, with 1 to W tokens of context.",
     .asks_specials = false,
     .scores_first = false,
     .windows = [](data::TokenStream& stream, std::int64_t window,
                   const Specials&) { return data::consecutive_windows(std::ssize(stream.tokens), window); }},
    {.name = "gptq",
     .summary = "Disjoint blocks of W tokens, each scored but for its first; what is left at the end of the "
                "stream is not scored. GPTQ's and most papers' on WikiText-2, there with W = 2048.",
     .asks_specials = false,
     .scores_first = false,
     .windows = [](data::TokenStream& stream, std::int64_t window,
                   const Specials&) { return data::whole_blocks(std::ssize(stream.tokens), window); }},
    {.name = "hf-strided",
     .summary =
         "Windows of W tokens that move on by W/2, each scoring only what the one before did not: every "
         "token but the first of the stream once, with W/2 tokens of context or more after the first "
         "window. Hugging Face's guide to fixed-length models, there with W = 1024.",
     .asks_specials = false,
     .scores_first = false,
     .windows =
         [](data::TokenStream& stream, std::int64_t window, const Specials&) {
           return data::strided_windows(std::ssize(stream.tokens), window, (window + 1) / 2);
         }},
    {.name = "llama.cpp",
     .summary = "Disjoint blocks of W tokens, the first of each replaced by BOS where the model's documents "
                "start with one, of each the second half scored; what is left at the end of the stream is "
                "not scored. llama-perplexity's, there with W = 512 (-c).",
     .asks_specials = true,
     .scores_first = false,
     .windows = llama_cpp_windows},
    {.name = "lm-eval",
     .summary = "Every document on its own, predicted from BOS (or EOS) put before it: windows of W inputs "
                "that score every token of the document once, its own BOS included, the last one moved back "
                "to W inputs. lm-eval's loglikelihood_rolling, there with W = the model's context.",
     .asks_specials = true,
     .scores_first = true,
     .windows = lm_eval_windows},
};

}  // namespace

std::span<const Convention> conventions() {
  return kAll;
}

const Convention& convention(std::string_view name) {
  std::vector<std::string> names;
  for (const Convention& each : kAll) {
    if (each.name == name) return each;
    names.emplace_back(each.name);
  }
  throw UserError({.where = "--convention",
                   .what = "no such convention",
                   .expected = "one of " + list_some(names, 20),
                   .found = fmt::format("'{}'", name)});
}

std::string convention_help() {
  std::string names;
  for (const Convention& each : kAll) names += (names.empty() ? "" : ", ") + std::string(each.name);
  return "which tokens are scored, and with how much context: " + names;
}

}  // namespace regroup::eval
