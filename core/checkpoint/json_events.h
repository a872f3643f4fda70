// JSON read as a stream of events, for headers and indexes: tens of thousands of keys and sizes that a
// stranger chose. Nothing is kept but what the visitor keeps, and nesting costs no stack.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace regroup::checkpoint {

class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;
  virtual void open_object() = 0;
  virtual void open_array() = 0;
  virtual void close() = 0;  // the innermost object or array
  virtual void key(std::string& name) = 0;
  virtual void string(std::string& text) = 0;
  virtual void size(std::uint64_t number) = 0;         // a whole number from 0 on
  virtual void other(const std::string& literal) = 0;  // null, true, -1, 1.5 … as a message may show it
};

// UserError naming `where` if `text` is not JSON in UTF-8; whatever the visitor throws passes through.
void visit_json(std::string_view text, const std::string& where, JsonVisitor& visitor);

// A name out of a file, as a message may show it: in quotes, what is not text replaced, not too long.
std::string in_quotes(std::string_view name);

}  // namespace regroup::checkpoint
