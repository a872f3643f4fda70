#include "core/tokenizer/protobuf.h"

namespace regroup::tokenizer {
namespace {

std::optional<std::uint64_t> take_varint(std::string_view& message) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !message.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(message.front());
    message.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<std::string_view> take_bytes(std::string_view& message, std::uint64_t count) {
  if (count > message.size()) return std::nullopt;
  const std::string_view bytes = message.substr(0, count);
  message.remove_prefix(count);
  return bytes;
}

}  // namespace

std::optional<Field> take_field(std::string_view& message) {
  enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  const auto tag = take_varint(message);
  if (!tag) return std::nullopt;
  Field field;
  field.number = *tag >> 3;
  std::optional<std::uint64_t> size;
  switch (*tag & 7) {
    case kVarint: {
      const auto value = take_varint(message);
      if (!value) return std::nullopt;
      field.value = *value;
      return field;
    }
    case kFixed64:
      size = 8;
      break;
    case kFixed32:
      size = 4;
      break;
    case kBytes:
      size = take_varint(message);
      break;
    default:
      break;
  }
  const auto bytes = size ? take_bytes(message, *size) : std::nullopt;
  if (!bytes) return std::nullopt;
  field.bytes = *bytes;
  field.is_message = (*tag & 7) == kBytes;
  return field;
}

}  // namespace regroup::tokenizer
