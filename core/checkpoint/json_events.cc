#include "core/checkpoint/json_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/json.h"

namespace regroup::checkpoint {
namespace {

[[noreturn]] void fail_as_malformed(const std::string& where, std::string reason) {
  throw UserError({.where = where, .what = "not valid JSON", .found = std::move(reason)});
}

class Events final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Events(const std::string& where, JsonVisitor& visitor) : where_(where), visitor_(visitor) {}

  bool null() override { return other("null"); }
  bool boolean(bool value) override { return other(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return other(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    visitor_.size(value);
    return true;
  }
  bool number_float(number_float_t, const string_t& literal) override { return other(literal.substr(0, 40)); }
  bool string(string_t& value) override {
    visitor_.string(value);
    return true;
  }
  bool binary(binary_t&) override { return other("binary data"); }
  bool start_object(std::size_t) override {
    visitor_.open_object();
    return true;
  }
  bool key(string_t& value) override {
    visitor_.key(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override {
    visitor_.open_array();
    return true;
  }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 3: REASON; last read: 'TOKEN'": the
    // token may be megabytes of anything.
    std::string reason = error.what();
    reason.resize(std::min(reason.size(), reason.find("; last read")));
    if (const auto colon = reason.find(": "); colon != std::string::npos) reason.erase(0, colon + 2);
    if (reason.size() > 200) reason.resize(200);
    fail_as_malformed(where_, fmt::format("{} (byte {})", reason, position));
  }

 private:
  bool other(const std::string& literal) {
    visitor_.other(literal);
    return true;
  }
  bool close() {
    visitor_.close();
    return true;
  }

  const std::string& where_;
  JsonVisitor& visitor_;
};

}  // namespace

void visit_json(std::string_view text, const std::string& where, JsonVisitor& visitor) {
  // The parser takes a zero byte for the end of its input and would not look at what follows.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    fail_as_malformed(where, fmt::format("a zero byte (byte {})", zero + 1));
  Events events(where, visitor);
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);
}

std::string in_quotes(std::string_view name) {
  constexpr std::size_t kLongest = 160;
  std::string text(name.substr(0, kLongest));
  if (name.size() > kLongest) {
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.pop_back();
    text += "…";
  }
  const bool utf8 = is_utf8(text);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || (!utf8 && (c & 0x80))) c = '?';
  return "'" + text + "'";
}

}  // namespace regroup::checkpoint
