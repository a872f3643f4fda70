#include "core/tokenizer/split.h"

#include <algorithm>
#include <array>
#include <utility>

namespace regroup::tokenizer {
namespace {

constexpr std::array<std::pair<std::string_view, Behavior>, 5> kNames = {
    {{"Removed", Behavior::kRemoved},
     {"Isolated", Behavior::kIsolated},
     {"MergedWithPrevious", Behavior::kMergedWithPrevious},
     {"MergedWithNext", Behavior::kMergedWithNext},
     {"Contiguous", Behavior::kContiguous}}};

// Receives the segments of a text, matched or not, and joins them as the behavior says.
class Joiner {
 public:
  Joiner(std::string_view text, Behavior behavior, std::vector<std::string_view>& parts)
      : text_(text), behavior_(behavior), parts_(parts) {}

  void add(std::size_t begin, std::size_t end, bool matched) {
    if (behavior_ == Behavior::kRemoved && matched) return;
    if (!joins(matched)) flush(begin);
    end_ = end;
    last_matched_ = matched;
  }

  void finish() { flush(end_); }

 private:
  bool joins(bool matched) const {
    if (begin_ == end_) return false;
    if (behavior_ == Behavior::kMergedWithPrevious) return matched && !last_matched_;
    if (behavior_ == Behavior::kMergedWithNext) return !matched && last_matched_;
    return behavior_ == Behavior::kContiguous && matched == last_matched_;
  }

  void flush(std::size_t next) {
    if (begin_ < end_) parts_.push_back(text_.substr(begin_, end_ - begin_));
    begin_ = next;
  }

  std::string_view text_;
  Behavior behavior_;
  std::vector<std::string_view>& parts_;
  std::size_t begin_ = 0, end_ = 0;
  bool last_matched_ = false;
};

}  // namespace

Behavior read_behavior(const Fields& fields, const char* key) {
  const std::string name = fields.text(key);
  const auto row = std::ranges::find(kNames, name, &decltype(kNames)::value_type::first);
  if (row == kNames.end())
    fields.refuse(key, "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  return row->second;
}

void split(std::string_view text, std::span<const Match> matches, Behavior behavior, bool inverted,
           std::vector<std::string_view>& parts) {
  Joiner joiner(text, behavior, parts);
  std::size_t done = 0;
  for (const Match& match : matches) {
    if (match.begin > done) joiner.add(done, match.begin, inverted);
    if (match.end > match.begin) joiner.add(match.begin, match.end, !inverted);
    done = match.end;
  }
  if (done < text.size()) joiner.add(done, text.size(), inverted);
  joiner.finish();
}

}  // namespace regroup::tokenizer
