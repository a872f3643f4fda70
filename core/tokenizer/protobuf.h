// Fields of a serialized protocol buffer message, as far as sentencepiece_model.proto needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace regroup::tokenizer {

// One field of a message: a number or bytes (fixed-size numbers too: little-endian).
struct Field {
  std::uint64_t number = 0, value = 0;
  std::string_view bytes;
  bool is_message = false;  // bytes of any number, which a message or a text has
};

// Takes the first field off `message`; nothing if that is malformed.
std::optional<Field> take_field(std::string_view& message);

// Calls `visit` for every field; false if the message is malformed.
template <typename Visit>
bool for_each_field(std::string_view message, Visit visit) {
  while (!message.empty()) {
    const auto field = take_field(message);
    if (!field) return false;
    visit(*field);
  }
  return true;
}

}  // namespace regroup::tokenizer
