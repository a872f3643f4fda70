#include "core/family/config_reader.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"

namespace regroup::family {
namespace {

// A value as the file shows it, cut where it would flood the message.
std::string shown(const Json& value) {
  constexpr std::size_t kMost = 80;
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "…";
}

}  // namespace

ConfigReader::ConfigReader(const Json& json, std::string where) : json_(&json), where_(std::move(where)) {
  if (!json.is_object())
    throw UserError({.where = where_, .what = "not a JSON object", .found = shown(json)});
}

const Json* ConfigReader::find(std::string_view key) const {
  const auto at = json_->find(std::string(key));
  return at == json_->end() || at->is_null() ? nullptr : &*at;
}

bool ConfigReader::has(std::string_view key) const {
  return find(key) != nullptr;
}

void ConfigReader::refuse(std::string_view key, std::string expected, std::string remedy) const {
  const Json* value = find(key);
  throw UserError({.where = where_,
                   .what = fmt::format("'{}{}'", prefix_, key),
                   .expected = std::move(expected),
                   .found = value ? shown(*value) : "no such key",
                   .remedy = std::move(remedy)});
}

std::int64_t ConfigReader::count(std::string_view key, std::int64_t most) const {
  const Json* value = find(key);
  const bool fits = value && value->is_number_integer() && *value >= 1 && *value <= most;
  if (!fits) refuse(key, fmt::format("a whole number from 1 to {}", most));
  return value->get<std::int64_t>();
}

std::int64_t ConfigReader::count_or(std::string_view key, std::int64_t fallback) const {
  return has(key) ? count(key) : fallback;
}

double ConfigReader::positive(std::string_view key) const {
  const Json* value = find(key);
  const double number = value && value->is_number() ? value->get<double>() : 0;
  if (!(number > 0) || !std::isfinite(number)) refuse(key, "a number above 0");
  return number;
}

double ConfigReader::positive_or(std::string_view key, double fallback) const {
  return has(key) ? positive(key) : fallback;
}

bool ConfigReader::boolean_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::text_or(std::string_view key, std::string_view fallback) const {
  const Json* value = find(key);
  if (!value) return std::string(fallback);
  if (!value->is_string()) refuse(key, "a string");
  return value->get<std::string>();
}

ConfigReader ConfigReader::object(std::string_view key) const {
  static const Json kNone = Json::object();
  const Json* value = find(key);
  if (value && !value->is_object()) refuse(key, "an object");
  ConfigReader inner(value ? *value : kNone, where_);
  inner.prefix_ = fmt::format("{}{}.", prefix_, key);
  return inner;
}

}  // namespace regroup::family
