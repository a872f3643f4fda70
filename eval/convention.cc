#include "eval/convention.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace regroup::eval {
namespace {

constexpr Convention kAll[] = {
    {.name = "consecutive",
     .summary = "Disjoint windows of W inputs [iW, iW+W), targets shifted by one: every token but the "
                "first of the stream is scored exactly once, with 1 to W tokens of context.",
     .windows = data::consecutive_windows},
    {.name = "gptq",
     .summary = "Disjoint blocks of W tokens, each scored but for its first; what is left at the end of the "
                "stream is not scored. GPTQ's and most papers' on WikiText-2, there with W = 2048.",
     .windows = data::whole_blocks},
    {.name = "hf-strided",
     .summary =
         "Windows of W tokens that move on by W/2, each scoring only what the one before did not: every "
         "token but the first of the stream once, with W/2 tokens of context or more after the first "
         "window. Hugging Face's guide to fixed-length models, there with W = 1024.",
     .windows = [](std::int64_t tokens,
                   std::int64_t window) { return data::strided_windows(tokens, window, (window + 1) / 2); }},
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
