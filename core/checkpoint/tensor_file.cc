#include "core/checkpoint/tensor_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/base/error.h"

namespace regroup::checkpoint {
namespace {

constexpr std::string_view kLfsPointer = "version https://git-lfs";
static_assert(kLfsPointer.size() == kLfsPrefix);

}  // namespace

std::int64_t TensorInfo::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::optional<std::uint64_t> bits_of(DType dtype, std::span<const std::int64_t> shape) {
  bool overflow = false;
  // The reference multiplies the sizes first; an overflow before a later 0 is one there, too.
  std::uint64_t bits = 1;
  for (const std::int64_t size : shape)
    overflow |= __builtin_mul_overflow(bits, static_cast<std::uint64_t>(size), &bits);
  overflow |= __builtin_mul_overflow(bits, static_cast<std::uint64_t>(dtype_bits(dtype)), &bits);
  return overflow ? std::nullopt : std::optional(bits);
}

void TensorFile::read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const {
  check(offset <= tensor.bytes() && out.size() <= tensor.bytes() - offset, "read beyond the tensor");
  if (lies_in_order(tensor))
    file_.read_at(header_.data_begin + tensor.begin + offset, out);
  else
    read_paired(tensor, offset, out);
}

void TensorFile::read_paired(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const {
  const auto head_rows = static_cast<std::uint64_t>(header_.paired_rows.at(tensor.name));
  const std::uint64_t row_bytes = tensor.bytes() / static_cast<std::uint64_t>(tensor.shape.front());
  while (!out.empty()) {
    const std::uint64_t row = offset / row_bytes, within = offset % row_bytes, of_head = row % head_rows;
    const std::uint64_t half = head_rows / 2, lies = row - of_head + of_head % half * 2 + of_head / half;
    const auto part = out.first(std::min<std::uint64_t>(out.size(), row_bytes - within));
    file_.read_at(header_.data_begin + tensor.begin + lies * row_bytes + within, part);
    out = out.subspan(part.size());
    offset += part.size();
  }
}

void refuse_lfs_pointer(std::span<const std::byte> prefix, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(prefix.data()), prefix.size());
  if (text.starts_with(kLfsPointer))
    throw UserError({.where = where,
                     .what = "a Git LFS pointer, not the file itself",
                     .remedy = "Fetch the file with: git lfs pull"});
}

}  // namespace regroup::checkpoint
