#include "core/checkpoint/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/checkpoint/json_events.h"

namespace regroup::checkpoint {
namespace {

using Kind = Pickle::Kind;
using Ref = Pickle::Ref;
using Value = Pickle::Value;

// Far more than the largest shard of a model needs (some 20 a tensor), and less than memory.
constexpr std::size_t kMostValues = std::size_t{1} << 23;
constexpr int kHighestProtocol = 5;
constexpr std::size_t kMarkedItems = ~std::size_t{0};  // those above the last mark, as many as they are

// The names of Python's pickletools.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kBinint = 'J',
  kBinint1 = 'K',
  kBinint2 = 'M',
  kNone = 'N',
  kBinpersid = 'Q',
  kReduce = 'R',
  kBinunicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinget = 'h',
  kInst = 'i',
  kLongBinget = 'j',
  kBinput = 'q',
  kLongBinput = 'r',
  kSetitem = 's',
  kTuple = 't',
  kSetitems = 'u',
  kBinfloat = 'G',
  kEmptyTuple = ')',
  kEmptyList = ']',
  kEmptyDict = '}',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewtrue = 0x88,
  kNewfalse = 0x89,
  kLong1 = 0x8a,
  kShortBinunicode = 0x8c,
  kBinunicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
          const std::string& where)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), allowed_(allowed), where_(where) {}

  // Returns the value that the pickle is.
  Ref run() {
    for (;;) {
      opcode_at_ = at_;
      const auto opcode = static_cast<unsigned char>(take(1).front());
      if (opcode == kStop) return pop();
      if (!constant(opcode) && !container(opcode) && !memo(opcode) && !object(opcode) && !header(opcode))
        fail(fmt::format("has opcode 0x{:02x}, which weights do not need", opcode));
    }
  }

  std::vector<Value> take_values() { return std::move(values_); }

 private:
  bool header(unsigned char opcode) {
    if (opcode == kProto) {
      const std::uint64_t protocol = number(1);
      if (protocol > kHighestProtocol) fail(fmt::format("is of protocol {}", protocol));
    } else if (opcode == kFrame) {
      if (number(8) > bytes_.size() - at_) fail_cut_off();
    } else {
      return false;
    }
    return true;
  }

  bool constant(unsigned char opcode) {
    switch (opcode) {
      case kNone:
        push({.kind = Kind::kNone});
        break;
      case kNewtrue:
        push({.kind = Kind::kBool, .integer = 1});
        break;
      case kNewfalse:
        push({.kind = Kind::kBool, .integer = 0});
        break;
      case kBinint:
        push_integer(static_cast<std::int32_t>(number(4)));
        break;
      case kBinint1:
        push_integer(static_cast<std::int64_t>(number(1)));
        break;
      case kBinint2:
        push_integer(static_cast<std::int64_t>(number(2)));
        break;
      case kLong1:
        push_long(take(number(1)));
        break;
      case kBinfloat:
        take(8), push({.kind = Kind::kNumber});
        break;
      case kShortBinunicode:
        push_text(take(number(1)));
        break;
      case kBinunicode:
        push_text(take(number(4)));
        break;
      case kBinunicode8:
        push_text(take(number(8)));
        break;
      default:
        return false;
    }
    return true;
  }

  bool container(unsigned char opcode) {
    switch (opcode) {
      case kMark:
        marks_.push_back(stack_.size());
        break;
      case kEmptyTuple:
        push({.kind = Kind::kTuple});
        break;
      case kEmptyList:
        push({.kind = Kind::kList});
        break;
      case kEmptyDict:
        push({.kind = Kind::kDict});
        break;
      case kTuple1:
        push_tuple(1);
        break;
      case kTuple2:
        push_tuple(2);
        break;
      case kTuple3:
        push_tuple(3);
        break;
      case kTuple:
        push_tuple(kMarkedItems);
        break;
      case kAppend:
        extend(Kind::kList, 1);
        break;
      case kAppends:
        extend(Kind::kList, kMarkedItems);
        break;
      case kSetitem:
        extend(Kind::kDict, 2);
        break;
      case kSetitems:
        extend(Kind::kDict, kMarkedItems);
        break;
      default:
        return false;
    }
    return true;
  }

  bool memo(unsigned char opcode) {
    switch (opcode) {
      case kBinput:
        remember(number(1));
        break;
      case kLongBinput:
        remember(number(4));
        break;
      case kMemoize:
        remember(memo_.size());
        break;
      case kBinget:
        recall(number(1));
        break;
      case kLongBinget:
        recall(number(4));
        break;
      default:
        return false;
    }
    return true;
  }

  bool object(unsigned char opcode) {
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = take_line();
        push_global(module, take_line());
        break;
      }
      case kStackGlobal: {
        const Ref name = pop_text(), module = pop_text();
        push_global(values_[module].text, values_[name].text);
        break;
      }
      case kInst: {  // an old form of calling: read as far as it takes to say what it would call
        const std::string_view module = take_line();
        require_allowed(fmt::format("{}.{}", module, take_line()));
        return false;
      }
      case kReduce:
        push_call();
        break;
      case kBuild:
        pop(), extend(Kind::kDict, 0);
        break;  // attributes of a dictionary: none of ours
      case kBinpersid:
        push({.kind = Kind::kPersistent, .arguments = pop()});
        break;
      default:
        return false;
    }
    return true;
  }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size() - at_) fail_cut_off();
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail_cut_off();
    const std::string_view line = take(end - at_);
    take(1);
    return line;
  }

  std::uint64_t number(std::size_t bytes) {  // little-endian
    std::uint64_t value = 0;
    const std::string_view text = take(bytes);
    for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(text[i]);
    return value;
  }

  void push(Value value) {
    if (values_.size() == kMostValues) fail(fmt::format("has more than {} values", kMostValues));
    values_.push_back(std::move(value));
    stack_.push_back(static_cast<Ref>(values_.size() - 1));
  }

  void push_integer(std::int64_t integer) { push({.kind = Kind::kInt, .integer = integer}); }
  void push_text(std::string_view text) { push({.kind = Kind::kText, .text = std::string(text)}); }

  // Two's complement, little-endian, as short as can be.
  void push_long(std::string_view bytes) {
    if (bytes.size() > 8) return push({.kind = Kind::kNumber});
    std::uint64_t value = !bytes.empty() && (bytes.back() & 0x80) ? ~std::uint64_t{0} : 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    push_integer(static_cast<std::int64_t>(value));
  }

  void push_tuple(std::size_t count) { push({.kind = Kind::kTuple, .items = pop_items(count)}); }

  void push_global(std::string_view module, std::string_view name) {
    std::string global = fmt::format("{}.{}", module, name);
    require_allowed(global);
    push({.kind = Kind::kGlobal, .text = std::move(global)});
  }

  void push_call() {
    const Ref arguments = pop(), callable = pop();
    if (values_[callable].kind != Kind::kGlobal || values_[arguments].kind != Kind::kTuple)
      fail("calls something that is not a name");
    push({.kind = Kind::kCall, .callable = callable, .arguments = arguments});
  }

  // Moves items from the stack into the list or dictionary below them. What a call returned may be either.
  void extend(Kind kind, std::size_t count) {
    const std::vector<Ref> items = pop_items(count);
    const Ref ref = pop();
    Value& target = values_[ref];
    if (target.kind != kind && target.kind != Kind::kCall)
      fail(fmt::format("fills something that is not a {}", kind == Kind::kList ? "list" : "dictionary"));
    if (kind == Kind::kDict && items.size() % 2 != 0) fail("has a key without a value");
    target.items.insert(target.items.end(), items.begin(), items.end());
    stack_.push_back(ref);
  }

  // Never below the last mark, as in Python.
  Ref pop() {
    if (stack_.size() == (marks_.empty() ? 0 : marks_.back())) fail("takes from an empty stack");
    const Ref ref = stack_.back();
    stack_.pop_back();
    return ref;
  }

  Ref pop_text() {
    const Ref ref = pop();
    if (values_[ref].kind != Kind::kText) fail("names something with what is not text");
    return ref;
  }

  std::vector<Ref> pop_items(std::size_t count) {
    if (count == kMarkedItems) {
      if (marks_.empty()) fail("takes items to a mark that is not there");
      count = stack_.size() - marks_.back();
      marks_.pop_back();
    }
    std::vector<Ref> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  void remember(std::uint64_t key) {
    const Ref ref = pop();
    stack_.push_back(ref);
    memo_[key] = ref;
    if (memo_.size() > kMostValues) fail(fmt::format("remembers more than {} values", kMostValues));
  }

  void recall(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("recalls a value that it did not remember");
    stack_.push_back(found->second);
  }

  void require_allowed(const std::string& global) const {
    if (allowed_(global)) return;
    throw UserError(
        {.where = where_,
         .what = fmt::format("not safe to load: its pickle asks for {}, which weights do not need",
                             in_quotes(global)),
         .remedy = "Nothing of it was run. Take the model as safetensors, from a source that you "
                   "trust"});
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw UserError({.where = where_, .what = fmt::format("its pickle {} (byte {})", what, opcode_at_)});
  }
  [[noreturn]] void fail_cut_off() const { fail("is cut off"); }

  std::string_view bytes_;
  const std::function<bool(std::string_view)>& allowed_;
  const std::string& where_;
  std::size_t at_ = 0, opcode_at_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, Ref> memo_;
};

}  // namespace

Pickle::Pickle(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
               const std::string& where) {
  Machine machine(bytes, allowed, where);
  top_ = machine.run();
  values_ = machine.take_values();
}

}  // namespace regroup::checkpoint
