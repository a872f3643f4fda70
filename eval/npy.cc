#include "eval/npy.h"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace regroup::eval {

std::vector<std::byte> npy_bytes(std::span<const std::vector<double>> rows) {
  static_assert(std::endian::native == std::endian::little, "'<f8' is written as the doubles lie in memory");
  check(!rows.empty(), "an array needs a row");
  const std::size_t columns = rows.front().size();
  std::string dictionary =
      fmt::format("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", rows.size(), columns);
  constexpr std::size_t kPrefix = 10, kAlignment = 64;
  dictionary.append(kAlignment - 1 - (kPrefix + dictionary.size()) % kAlignment, ' ');
  dictionary += '\n';

  using namespace std::string_view_literals;
  std::string header("\x93NUMPY\x01\x00"sv);
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  header += dictionary;

  const auto text = std::as_bytes(std::span(header));
  std::vector<std::byte> bytes(text.begin(), text.end());
  bytes.reserve(header.size() + rows.size() * columns * sizeof(double));
  for (const std::vector<double>& row : rows) {
    check(row.size() == columns, "rows of an array are equally long");
    const auto data = std::as_bytes(std::span(row));
    bytes.insert(bytes.end(), data.begin(), data.end());
  }
  return bytes;
}

}  // namespace regroup::eval
