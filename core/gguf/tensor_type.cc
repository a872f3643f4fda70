#include "core/gguf/tensor_type.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/half.h"

namespace regroup::gguf {
namespace {

constexpr std::int64_t kQ8Block = 32;

template <typename Stored, Stored (*convert)(float)>
void encode_each(std::span<const float> values, std::byte* out) {
  for (const float value : values) {
    const Stored stored = convert(value);
    std::memcpy(out, &stored, sizeof(Stored));
    out += sizeof(Stored);
  }
}

// For what fits a byte; the sum is exact where it decides.
std::int8_t rounded_away_from_zero(float value) {
  const double exact = value;
  return static_cast<std::int8_t>(static_cast<int>(exact + std::copysign(0.5, exact)));
}

void encode_q8_block(std::span<const float> values, std::byte* out) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  const float scale = largest / 127;
  // A scale this small is stored as zero: the integers do not matter, but must be some.
  const float inverse = scale < std::numeric_limits<float>::min() ? 0 : 1 / scale;
  const std::uint16_t stored_scale = float_to_half(scale);
  std::memcpy(out, &stored_scale, sizeof(stored_scale));
  out += sizeof(stored_scale);
  for (const float value : values) *out++ = static_cast<std::byte>(rounded_away_from_zero(value * inverse));
}

}  // namespace

std::string_view type_name(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return "F32";
    case TensorType::kF16:
      return "F16";
    case TensorType::kQ8_0:
      return "Q8_0";
    case TensorType::kBF16:
      return "BF16";
  }
  check(false, "a tensor type without a name");
  return {};
}

std::int64_t block_elements(TensorType type) {
  return type == TensorType::kQ8_0 ? kQ8Block : 1;
}

std::uint64_t block_bytes(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return 4;
    case TensorType::kQ8_0:
      return 2 + kQ8Block;
    case TensorType::kF16:
    case TensorType::kBF16:
      break;
  }
  return 2;
}

void encode(TensorType type, std::span<const float> values, std::span<std::byte> out) {
  const auto block = static_cast<std::size_t>(block_elements(type));
  check(values.size() % block == 0 && values.size() / block * block_bytes(type) == out.size(),
        "a row that is not whole blocks");
  switch (type) {
    case TensorType::kF32:
      std::memcpy(out.data(), values.data(), values.size_bytes());
      break;
    case TensorType::kF16:
      encode_each<std::uint16_t, float_to_half>(values, out.data());
      break;
    case TensorType::kBF16:
      encode_each<std::uint16_t, float_to_bfloat16>(values, out.data());
      break;
    case TensorType::kQ8_0:
      for (std::size_t i = 0; i < values.size(); i += block)
        encode_q8_block(values.subspan(i, block), out.data() + i / block * block_bytes(type));
      break;
  }
}

float largest_value(TensorType type) {
  constexpr float kMostHalf = 65504;
  // What rounds to infinity: everything from half a last place above the largest finite number on.
  if (type == TensorType::kF16) return std::nextafter(kMostHalf + 16, 0.0F);
  if (type == TensorType::kQ8_0) return kMostHalf * 127;
  return std::numeric_limits<float>::max();
}

}  // namespace regroup::gguf
