#include "core/tokenizer/pair_table.h"

#include <queue>
#include <tuple>

namespace regroup::tokenizer {
namespace {

// Below this many symbols, looking at all pairs again is quicker than a queue.
constexpr std::size_t kShort = 48;

void join_short(const PairTable& table, std::vector<Token>& symbols) {
  std::vector<Joined> pairs(symbols.size() - 1);
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = table.find(symbols[i], symbols[i + 1]);
  while (!pairs.empty()) {
    std::size_t best = pairs.size();
    for (std::size_t i = 0; i < pairs.size(); ++i)
      if (pairs[i].rank >= 0 && (best == pairs.size() || pairs[i].rank < pairs[best].rank)) best = i;
    if (best == pairs.size()) return;
    const auto at = static_cast<std::ptrdiff_t>(best);
    symbols[best] = pairs[best].id;
    symbols.erase(symbols.begin() + at + 1);
    pairs.erase(pairs.begin() + at);
    if (best > 0) pairs[best - 1] = table.find(symbols[best - 1], symbols[best]);
    if (best < pairs.size()) pairs[best] = table.find(symbols[best], symbols[best + 1]);
  }
}

// A linked list of symbols and a queue of the pairs that could be joined; an entry whose pair is gone by the
// time it comes up is passed over.
class LongWord {
 public:
  LongWord(const PairTable& table, const std::vector<Token>& ids) : table_(table), symbols_(ids.size()) {
    for (std::size_t i = 0; i < ids.size(); ++i)
      symbols_[i] = {.id = ids[i], .previous = static_cast<Index>(i) - 1, .next = static_cast<Index>(i) + 1};
    symbols_.back().next = kEnd;
    for (Index i = 0; i + 1 < static_cast<Index>(ids.size()); ++i) push(i);
  }

  std::vector<Token> join() {
    while (!queue_.empty()) {
      const Entry entry = queue_.top();
      queue_.pop();
      if (is_still_there(entry)) join_at(entry.at);
    }
    std::vector<Token> left;
    for (Index i = 0; i != kEnd; i = symbol(i).next) left.push_back(symbol(i).id);
    return left;
  }

 private:
  using Index = std::int64_t;
  static constexpr Index kEnd = -1;
  struct Symbol {
    Token id = -1;  // -1: joined to the one before it
    Index previous = kEnd, next = kEnd;
  };
  struct Entry {
    std::int32_t rank;
    Index at;
    bool operator<(const Entry& other) const {  // the top of the queue is its largest
      return std::tie(other.rank, other.at) < std::tie(rank, at);
    }
  };

  Symbol& symbol(Index at) { return symbols_[static_cast<std::size_t>(at)]; }

  Joined pair_at(Index at) {
    const Symbol& left = symbol(at);
    return left.id < 0 || left.next == kEnd ? Joined{} : table_.find(left.id, symbol(left.next).id);
  }

  void push(Index at) {
    const Joined joined = pair_at(at);
    if (joined.rank >= 0) queue_.push({joined.rank, at});
  }

  bool is_still_there(const Entry& entry) { return pair_at(entry.at).rank == entry.rank; }

  void join_at(Index at) {
    Symbol& left = symbol(at);
    Symbol& right = symbol(left.next);
    left.id = pair_at(at).id;
    right.id = -1;
    left.next = right.next;
    if (left.next != kEnd) symbol(left.next).previous = at;
    if (left.previous != kEnd) push(left.previous);
    push(at);
  }

  const PairTable& table_;
  std::vector<Symbol> symbols_;
  std::priority_queue<Entry> queue_;
};

}  // namespace

void PairTable::set(Token left, Token right, Joined joined) {
  if (2 * (used_ + 1) > rows_.size()) grow();
  const std::uint64_t wanted = key(left, right);
  std::size_t at = slot(wanted);
  while (rows_[at].pair != kNone && rows_[at].pair != wanted) at = (at + 1) & (rows_.size() - 1);
  if (rows_[at].pair == kNone) ++used_;
  rows_[at] = {wanted, joined};
}

void PairTable::grow() {
  const std::vector<Row> old = std::move(rows_);
  rows_.assign(old.empty() ? 16 : 2 * old.size(), Row{});
  shift_ = old.empty() ? 60 : shift_ - 1;
  used_ = 0;
  for (const Row& row : old)
    if (row.pair != kNone)
      set(static_cast<Token>(row.pair >> 32), static_cast<Token>(row.pair & 0xFFFFFFFF), row.joined);
}

void join_neighbours(const PairTable& table, std::vector<Token>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShort) {
    join_short(table, symbols);
  } else {
    symbols = LongWord(table, symbols).join();
  }
}

}  // namespace regroup::tokenizer
