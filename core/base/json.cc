#include "core/base/json.h"

#include <set>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup {

namespace {

template <typename AnyJson>
AnyJson parse(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> open_objects;
  const auto refuse_what_misleads = [&](int depth, typename AnyJson::parse_event_t event, AnyJson& value) {
    // What walks a value (dump() does) recurses; a hostile file must not choose how far.
    constexpr int kMostDepth = 100;
    if (depth > kMostDepth) throw UserError({.where = where, .what = "JSON nested deeper than 100 levels"});
    if (event == AnyJson::parse_event_t::object_start) open_objects.emplace_back();
    if (event == AnyJson::parse_event_t::object_end) open_objects.pop_back();
    if (event == AnyJson::parse_event_t::key &&
        !open_objects.back().insert(value.template get<std::string>()).second)
      throw UserError({.where = where, .what = "the key " + value.dump() + " is there twice"});
    return true;
  };
  try {
    return AnyJson::parse(text.begin(), text.end(), refuse_what_misleads);
  } catch (const typename AnyJson::exception& error) {
    throw UserError({.where = where, .what = "not valid JSON", .found = error.what()});
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  return parse<Json>(text, where);
}

SortedJson parse_sorted_json(std::string_view text, const std::string& where) {
  return parse<SortedJson>(text, where);
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_text(path), path.string());
}

std::string to_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool is_utf8(std::string_view text) {
  try {
    Json(text).dump();  // the library's own check
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace regroup
