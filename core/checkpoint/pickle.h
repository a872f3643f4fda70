// A pickle as data: what it would build, written down, with nothing called, imported or built.
//
// Of the pickle machine's opcodes (protocols 2 to 5) those are known that torch.save needs for a dictionary
// of tensors, and of all that a pickle can name only what the caller allows: a pickle that names anything
// else (os.system, …) is a UserError that says what. Time and memory are bounded by the pickle's length:
// values are nodes that refer to each other, so that a value of a million uses is stored once, and no nesting
// costs stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::checkpoint {

class Pickle {
 public:
  using Ref = std::uint32_t;
  enum class Kind {
    kNone,
    kBool,        // integer: 0 or 1
    kInt,         // integer
    kNumber,      // a float, or an integer beyond 64 bits; its value is not kept
    kText,        // text: its bytes, meant to be UTF-8
    kTuple,       // items
    kList,        // items
    kDict,        // items: key, value, key, value, …; a key may come again
    kGlobal,      // text: "module.name"
    kCall,        // callable(*arguments); items as of a list or a dictionary that it would have returned
    kPersistent,  // argument: what the saving program called an object that lies elsewhere
  };
  struct Value {
    Kind kind = Kind::kNone;
    std::int64_t integer = 0;
    std::string text;
    std::vector<Ref> items;
    Ref callable = 0, arguments = 0;  // kCall; kPersistent has arguments only
  };

  // `allowed`: whether weights may name this "module.name". `where` names the pickle in messages.
  Pickle(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
         const std::string& where);

  const Value& operator[](Ref ref) const { return values_[ref]; }
  const Value& top() const { return values_[top_]; }

 private:
  std::vector<Value> values_;
  Ref top_ = 0;
};

}  // namespace regroup::checkpoint
