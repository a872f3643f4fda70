#include "eval/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup::eval {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::size_t kPrefix = kMagic.size() + 2, kAlignment = 64;

std::string dictionary_of(std::size_t rows, std::size_t columns) {
  return fmt::format("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
}

}  // namespace

std::vector<double> read_npy_row(const std::filesystem::path& path, std::size_t row) {
  const File file = File::open_for_reading(path);
  std::string prefix(std::min<std::uint64_t>(file.size(), kPrefix), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(prefix)));
  if (prefix.size() < kPrefix || !prefix.starts_with(kMagic)) return {};
  const std::size_t length =
      static_cast<unsigned char>(prefix[8]) + 256 * static_cast<unsigned char>(prefix[9]);
  const std::uint64_t begin = kPrefix + length;
  if (begin > file.size()) return {};
  std::string header(length, '\0');
  file.read_at(kPrefix, std::as_writable_bytes(std::span(header)));
  std::size_t rows = 0, columns = 0;
  if (std::sscanf(header.c_str(), "{'descr': '<f8', 'fortran_order': False, 'shape': (%zu, %zu)", &rows,
                  &columns) != 2 ||
      row >= rows || (file.size() - begin) / sizeof(double) / rows != columns)
    return {};
  std::vector<double> values(columns);
  file.read_at(begin + row * columns * sizeof(double), std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<std::byte> npy_bytes(std::span<const std::vector<double>> rows) {
  static_assert(std::endian::native == std::endian::little, "'<f8' is written as the doubles lie in memory");
  check(!rows.empty(), "an array needs a row");
  const std::size_t columns = rows.front().size();
  std::string dictionary = dictionary_of(rows.size(), columns);
  dictionary.append(kAlignment - 1 - (kPrefix + dictionary.size()) % kAlignment, ' ');
  dictionary += '\n';

  std::string header(kMagic);
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
