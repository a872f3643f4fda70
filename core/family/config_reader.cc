#include "core/family/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
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

std::int64_t ConfigReader::count_or(std::string_view key, std::int64_t fallback, std::int64_t most) const {
  return has(key) ? count(key, most) : fallback;
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

double ConfigReader::number_or(std::string_view key, double fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(key, "a number");
  return value->get<double>();
}

std::vector<double> ConfigReader::positives(std::string_view key, std::size_t size) const {
  const Json* value = find(key);
  const auto is_positive = [](const Json& item) {
    return item.is_number() && item.get<double>() > 0 && std::isfinite(item.get<double>());
  };
  if (!value || !value->is_array() || value->size() != size || !std::ranges::all_of(*value, is_positive))
    refuse(key, fmt::format("a list of {} numbers above 0", size));
  return value->get<std::vector<double>>();
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

std::vector<std::string> ConfigReader::texts(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_array() || !std::ranges::all_of(*value, [](const Json& item) { return item.is_string(); }))
    refuse(key, "a list of strings");
  return value->get<std::vector<std::string>>();
}

std::string ConfigReader::first_text(std::string_view key) const {
  const std::vector<std::string> all = texts(key);
  return all.empty() ? std::string() : all.front();
}

std::vector<std::int64_t> ConfigReader::numbers(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return {};
  const auto fits = [](const Json& item) { return item.is_number_integer() && item >= 0; };
  if (!value->is_array() || !std::ranges::all_of(*value, fits)) refuse(key, "a list of whole numbers");
  return value->get<std::vector<std::int64_t>>();
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
