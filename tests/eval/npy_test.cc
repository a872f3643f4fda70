#include "eval/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace regroup::eval {
namespace {

// The bytes numpy.save() writes for numpy.array([[1, 2, 3], [4, 5, -0.5]]).
TEST(Npy, HasTheBytesNumpyWrites) {
  const auto bytes = npy_bytes(std::vector<std::vector<double>>{{1, 2, 3}, {4, 5, -0.5}});
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
  expected.resize(127, ' ');
  expected += '\n';
  ASSERT_EQ(bytes.size(), 128 + 48u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 128), expected);
  double values[6];
  std::memcpy(values, bytes.data() + 128, sizeof values);
  EXPECT_EQ(values[2], 3);
  EXPECT_EQ(values[3], 4);
  EXPECT_EQ(values[5], -0.5);
}

TEST(Npy, DataBeginAtAMultipleOf64WhateverTheShape) {
  for (std::size_t columns : {1u, 1234u, 123456u}) {
    const auto bytes = npy_bytes(std::vector<std::vector<double>>(3, std::vector<double>(columns)));
    EXPECT_EQ((bytes.size() - 3 * columns * 8) % 64, 0u);
    EXPECT_EQ(static_cast<char>(bytes[bytes.size() - 3 * columns * 8 - 1]), '\n');
  }
}

}  // namespace
}  // namespace regroup::eval
