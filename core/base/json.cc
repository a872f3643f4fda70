#include "core/base/json.h"

#include <unordered_set>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup {

namespace {

// Refuses what misleads: keys that are there twice, and nesting without end, since what walks a value (dump()
// does) recurses and a hostile file must not choose how far. Before a value is made of the text: the
// library's callback while it makes one looks through all of an object's siblings whenever an object ends.
template <typename AnyJson>
class Inspection : public nlohmann::json_sax<AnyJson> {
 public:
  explicit Inspection(const std::string& where) : where_(where) {}

  bool start_object(std::size_t /*elements*/) override {
    keys_.emplace_back();
    return deeper();
  }
  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second)
      throw UserError({.where = where_, .what = "the key " + Json(name).dump() + " is there twice"});
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    return higher();
  }
  bool start_array(std::size_t /*elements*/) override { return deeper(); }
  bool end_array() override { return higher(); }

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(std::int64_t /*value*/) override { return true; }
  bool number_unsigned(std::uint64_t /*value*/) override { return true; }
  bool number_float(double /*value*/, const std::string& /*text*/) override { return true; }
  bool string(std::string& /*value*/) override { return true; }
  bool binary(typename AnyJson::binary_t& /*value*/) override { return true; }
  // Said by the parser that makes the value.
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  bool deeper() {
    constexpr int kMostDepth = 100;
    if (++depth_ > kMostDepth)
      throw UserError({.where = where_, .what = "JSON nested deeper than 100 levels"});
    return true;
  }
  bool higher() {
    --depth_;
    return true;
  }

  const std::string& where_;
  int depth_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects that are open
};

template <typename AnyJson>
AnyJson parse(std::string_view text, const std::string& where) {
  try {
    Inspection<AnyJson> inspection(where);
    static_cast<void>(AnyJson::sax_parse(text.begin(), text.end(), &inspection));
    return AnyJson::parse(text.begin(), text.end());
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
