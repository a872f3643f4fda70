#include "core/family/target.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/family/table_parts.h"

namespace regroup::family {
namespace {

std::vector<std::string> names(std::span<const std::string_view> engines) {
  return {engines.begin(), engines.end()};
}

bool has_own(const Family& family) {
  return family.with_kv_heads && std::ranges::any_of(family.architectures, [](std::string_view name) {
           return name.starts_with(kOwnPrefix);
         });
}

// Whether the class that engines have for the source's architecture takes that many heads.
bool engines_hold(const Family& family, const Json& config_json, const ModelConfig& config,
                  std::int64_t kv_heads) {
  if (is_own(ConfigReader(config_json, "config.json"))) return false;
  if (kv_heads == config.kv_heads) return true;
  return family.holds ? family.holds(config_json, kv_heads) : !family.loaded_by.empty();
}

// Engines that load it so. HF transformers has a class for every family as it is published, those that no
// engine loads with fewer key/value heads too.
std::vector<std::string> engines(const Family& family, const Json& config_json, const ModelConfig& config,
                                 std::int64_t kv_heads) {
  if (!engines_hold(family, config_json, config, kv_heads)) return {};
  return family.loaded_by.empty() ? std::vector<std::string>{"HF transformers"} : names(family.loaded_by);
}

[[noreturn]] void refuse(std::string_view asked, std::string why, std::string remedy = {}) {
  throw UserError(
      {.where = fmt::format("--target {}", asked), .what = std::move(why), .remedy = std::move(remedy)});
}

}  // namespace

Target choose_target(const Family& family, const Json& config_json, const ModelConfig& config,
                     std::int64_t kv_heads, std::string_view asked) {
  const auto stays = [&](std::string_view name) {
    return Target{
        .name = std::string(name),
        .family = &family,
        .home = nullptr,
        .loaded_by = engines(family, config_json, config, kv_heads),
        .config = kv_heads == config.kv_heads ? config_json : family.with_kv_heads(config_json, kv_heads)};
  };
  const auto moves = [&](const Home& home) {
    const Family& there = family_named(home.family);
    return Target{.name = std::string(home.family),
                  .family = &there,
                  .home = &home,
                  .loaded_by = names(there.loaded_by),
                  .config = home.config(config_json, config, kv_heads)};
  };
  const bool held = engines_hold(family, config_json, config, kv_heads);
  if (asked == "same") {
    if (!held)
      refuse(asked, fmt::format("no engine's {} holds {} key/value heads", family.name, kv_heads),
             "Leave --target out");
    return stays("same");
  }
  if (asked == "own") {
    if (held)
      refuse(asked,
             fmt::format("{} is loaded by engines with {} key/value heads as it is", family.name, kv_heads),
             "Leave --target out");
    if (!has_own(family))
      refuse(asked,
             fmt::format("{} keeps its table with {} key/value heads only", family.name, config.kv_heads),
             "Leave --target out");
    return stays("own");
  }
  std::vector<std::string> known = {"auto", "same", "own"};
  for (const Home& home : homes()) {
    known.emplace_back(home.family);
    if (asked != home.family) continue;
    if (const std::string obstacle = home.obstacle(config, kv_heads); !obstacle.empty())
      refuse(asked, fmt::format("{} cannot hold this {} with {} key/value heads: {}", home.family,
                                family.name, kv_heads, obstacle));
    return moves(home);
  }
  if (asked != "auto")
    throw UserError({.where = "--target",
                     .what = "no such target",
                     .expected = "one of " + list_some(known, 12),
                     .found = fmt::format("'{}'", asked)});
  if (held) return stays("same");
  for (const Home& home : homes())
    if (home.obstacle(config, kv_heads).empty()) return moves(home);
  if (!has_own(family))
    refuse(asked, fmt::format("nothing holds this {} with {} key/value heads", family.name, kv_heads));
  return stays("own");
}

}  // namespace regroup::family
