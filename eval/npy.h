// NumPy's .npy format, version 1.0 (numpy.lib.format): magic, version, header length, a Python dictionary
// padded so that the data begin at a multiple of 64, then the elements in C order.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace regroup::eval {

// Row `row` of a '<f8' array [rows, columns]; empty if the file is another kind of array or has no such row.
std::vector<double> read_npy_row(const std::filesystem::path& path, std::size_t row);

// A '<f8' array [rows, columns] from rows of equal length.
std::vector<std::byte> npy_bytes(std::span<const std::vector<double>> rows);

}  // namespace regroup::eval
