// JSON that keeps the order of its keys, read with errors that name the file and written as the hub's tools
// do.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace regroup {

using Json = nlohmann::ordered_json;

// Parses `text`; `where` names it in the UserError that malformed text, a repeated key or nesting without end
// causes.
Json parse_json(std::string_view text, const std::string& where);

Json read_json(const std::filesystem::path& path);

// The same for objects of very many keys (a vocabulary): Json finds a key by looking at all before it.
using SortedJson = nlohmann::json;
SortedJson parse_sorted_json(std::string_view text, const std::string& where);

// Two spaces, newline at the end. Bytes that are no UTF-8 (in a path) become U+FFFD.
std::string to_text(const Json& json);

bool is_utf8(std::string_view text);

}  // namespace regroup
