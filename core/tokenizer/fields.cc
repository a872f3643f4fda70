#include "core/tokenizer/fields.h"

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace regroup::tokenizer {

std::string shown(const SortedJson& value) {
  constexpr std::size_t kMost = 60;
  if (value.is_structured() && value.size() > 8)
    return std::string(value.is_array() ? "an array of " : "an object of ") + std::to_string(value.size());
  // Lines of merges.txt may be no UTF-8.
  const std::string text = value.dump(-1, ' ', false, SortedJson::error_handler_t::replace);
  return text.size() > kMost ? to_utf8(text.substr(0, kMost)) + "…" : text;
}

void refuse_kind(const std::string& where, const std::string& kind, const std::string& supported) {
  throw UserError({.where = where,
                   .what = "a kind that is not supported",
                   .expected = supported,
                   .found = to_utf8(kind.substr(0, 60))});
}

Fields::Fields(const SortedJson& value, std::string where) : value_(value), where_(std::move(where)) {
  if (!value_.is_object())
    throw UserError({.where = where_, .what = "not an object", .found = shown(value_)});
}

bool Fields::has(const char* key) const {
  const auto found = value_.find(key);
  return found != value_.end() && !found->is_null();
}

const SortedJson& Fields::value(const char* key) const {
  const auto found = value_.find(key);
  if (found == value_.end()) throw UserError({.where = where_, .what = std::string("no \"") + key + "\""});
  return *found;
}

void Fields::refuse(const char* key, const std::string& expected) const {
  throw UserError(
      {.where = at(key), .what = "a wrong value", .expected = expected, .found = shown(value(key))});
}

Fields Fields::object(const char* key) const {
  return {value(key), at(key)};
}

const SortedJson& Fields::array(const char* key) const {
  if (!value(key).is_array()) refuse(key, "an array");
  return value(key);
}

std::string Fields::text(const char* key) const {
  if (!value(key).is_string()) refuse(key, "a string");
  return value(key).get<std::string>();
}

std::int64_t Fields::number(const char* key) const {
  if (!value(key).is_number_integer()) refuse(key, "an integer");
  return value(key).get<std::int64_t>();
}

bool Fields::flag(const char* key) const {
  if (!value(key).is_boolean()) refuse(key, "true or false");
  return value(key).get<bool>();
}

}  // namespace regroup::tokenizer
