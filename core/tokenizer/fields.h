// Fields of tokenizer.json, read with errors that say which one is wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/json.h"

namespace regroup::tokenizer {

// An object of a JSON file, and where it is ("dir/tokenizer.json: model").
class Fields {
 public:
  // UserError unless `value` is an object.
  Fields(const SortedJson& value, std::string where);

  const std::string& where() const { return where_; }
  bool has(const char* key) const;  // there, and not null
  const SortedJson& all() const { return value_; }
  const SortedJson& value(const char* key) const;
  Fields object(const char* key) const;
  const SortedJson& array(const char* key) const;
  std::string text(const char* key) const;
  std::int64_t number(const char* key) const;
  bool flag(const char* key) const;
  // Without the key, or null.
  bool flag_or(const char* key, bool otherwise) const { return has(key) ? flag(key) : otherwise; }
  std::string text_or(const char* key, const std::string& otherwise) const {
    return has(key) ? text(key) : otherwise;
  }

  std::string at(const char* key) const { return where_ + "." + key; }
  [[noreturn]] void refuse(const char* key, const std::string& expected) const;

 private:
  const SortedJson& value_;
  std::string where_;
};

// The start of a value as JSON, for a message.
std::string shown(const SortedJson& value);

// "type" of something this program has no counterpart for.
[[noreturn]] void refuse_kind(const std::string& where, const std::string& kind,
                              const std::string& supported);

}  // namespace regroup::tokenizer
