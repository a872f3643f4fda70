#include "core/gguf/format.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <type_traits>

#include "core/base/error.h"

namespace regroup::gguf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so is all we run on");

constexpr std::uint32_t kVersion = 3, kArrayType = 9;
static_assert(std::is_same_v<std::variant_alternative_t<kArrayType, Value>, Array>);

template <typename T>
void append(std::string& out, const T& number) {
  static_assert(std::is_arithmetic_v<T>);
  out.append(reinterpret_cast<const char*>(&number), sizeof(T));
}

void append(std::string& out, const std::string& text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void append(std::string& out, const Array& array) {
  // The array's types are the values' without the array itself.
  const auto index = static_cast<std::uint32_t>(array.index());
  append(out, index < kArrayType ? index : index + 1);
  std::visit(
      [&out](const auto& elements) {
        append(out, static_cast<std::uint64_t>(elements.size()));
        for (const auto& element : elements)
          append(out, static_cast<typename std::decay_t<decltype(elements)>::value_type>(element));
      },
      array);
}

void append(std::string& out, const TensorInfo& tensor, std::uint64_t offset) {
  constexpr std::size_t kMostDimensions = 4;
  check(!tensor.name.empty() && tensor.name.size() <= kMostNameBytes, "a tensor name of wrong length");
  check(!tensor.shape.empty() && tensor.shape.size() <= kMostDimensions, "a tensor of too many dimensions");
  append(out, tensor.name);
  append(out, static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
    append(out, static_cast<std::uint64_t>(*extent));
  append(out, static_cast<std::uint32_t>(tensor.type));
  append(out, offset);
}

void check_unique(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  std::set<std::string_view> keys, names;
  for (const auto& [key, value] : metadata) check(keys.insert(key).second, "a key is there twice: " + key);
  for (const TensorInfo& tensor : tensors)
    check(names.insert(tensor.name).second, "a tensor is there twice: " + tensor.name);
}

}  // namespace

std::uint64_t TensorInfo::bytes() const {
  std::uint64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= static_cast<std::uint64_t>(extent);
  const auto block = static_cast<std::uint64_t>(block_elements(type));
  check(!shape.empty() && static_cast<std::uint64_t>(shape.back()) % block == 0, "rows are not whole blocks");
  return elements / block * block_bytes(type);
}

std::uint64_t padding(std::uint64_t position) {
  return (kAlignment - position % kAlignment) % kAlignment;
}

std::string encode_header(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  check_unique(metadata, tensors);
  std::string header = "GGUF";
  append(header, kVersion);
  append(header, static_cast<std::uint64_t>(tensors.size()));
  append(header, static_cast<std::uint64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    check(!key.empty() && key.size() <= std::numeric_limits<std::uint16_t>::max(), "a key of wrong length");
    append(header, key);
    append(header, static_cast<std::uint32_t>(value.index()));
    std::visit([&header](const auto& held) { append(header, held); }, value);
  }
  std::uint64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    append(header, tensor, offset);
    offset += tensor.bytes();
    offset += padding(offset);
  }
  header.append(padding(header.size()), '\0');
  return header;
}

}  // namespace regroup::gguf
