#include "core/data/documents.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup::data {

std::span<const DocumentRule> document_rules() {
  static constexpr std::array<DocumentRule, 3> rules = {{
      {"joined", "one after the other; tokens see what stands before them, whosever it is"},
      {"masked", "one after the other, but tokens see only their own document", false, true},
      {"apart", "no window holds more than one; what a short one leaves is filled up", true, false},
  }};
  return rules;
}

const DocumentRule& document_rule(std::string_view name) {
  std::vector<std::string> names;
  for (const DocumentRule& rule : document_rules()) {
    if (rule.name == name) return rule;
    names.emplace_back(rule.name);
  }
  throw UserError({.where = "--documents",
                   .what = "unknown name",
                   .expected = "one of " + list_some(names),
                   .found = "'" + std::string(name) + "'"});
}

DocumentWindows::DocumentWindows(std::span<const std::int64_t> starts, std::int64_t end, std::int64_t length,
                                 std::uint64_t seed)
    : windows_before_{0}, length_(length), seed_(seed) {
  check(length >= 1, "a window has tokens");
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t document_end = i + 1 < starts.size() ? starts[i + 1] : end;
    const std::int64_t inputs = document_end - starts[i] - 1;
    if (inputs < 1) continue;
    starts_.push_back(starts[i]);
    ends_.push_back(document_end);
    windows_before_.push_back(windows_before_.back() + (inputs + length - 1) / length);
  }
  if (starts_.empty())
    throw UserError({.where = "data",
                     .what = "no document to learn from",
                     .expected = "documents of at least 2 tokens",
                     .found = std::to_string(starts.size()) + " shorter ones"});
}

Window DocumentWindows::at(std::int64_t position) const {
  check(position >= 0, "positions count from 0");
  const std::int64_t epoch = position / per_epoch(), index = position % per_epoch();
  RandomStream random(seed_, "document windows, epoch " + std::to_string(epoch));
  const auto shuffled = static_cast<std::int64_t>(permute_index(
      static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(per_epoch()), random.bits()));
  const auto after = std::ranges::upper_bound(windows_before_, shuffled);
  const auto document = static_cast<std::size_t>(after - windows_before_.begin()) - 1;
  const std::int64_t begin = starts_[document] + (shuffled - windows_before_[document]) * length_;
  return {begin, std::min(length_, ends_[document] - 1 - begin)};
}

std::vector<std::int64_t> document_pieces(std::span<const std::int64_t> starts, const Window& window,
                                          std::int64_t length) {
  std::vector<std::int64_t> pieces;
  std::int64_t begin = window.begin;
  for (auto next = std::ranges::upper_bound(starts, begin);
       next != starts.end() && *next < window.begin + window.length; ++next) {
    pieces.push_back(*next - begin);
    begin = *next;
  }
  pieces.push_back(window.begin + length - begin);
  return pieces;
}

}  // namespace regroup::data
