#include "core/model/block_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "core/base/memory.h"

namespace regroup::model {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

const void* address_of_new(std::int64_t bytes) {
  return at::empty({bytes}, at::kByte).const_data_ptr();
}

TEST(BlockCache, WhatWasFreedIsTakenAgainByWhatIsOfAboutItsSize) {
  keep_freed_blocks();
  const void* first = address_of_new(100 * kMiB);
  EXPECT_EQ(address_of_new(100 * kMiB), first);
  EXPECT_EQ(address_of_new(90 * kMiB), first);
  const at::Tensor held = at::empty({100 * kMiB}, at::kByte);
  EXPECT_EQ(held.const_data_ptr(), first);
  EXPECT_NE(address_of_new(100 * kMiB), first);
}

TEST(BlockCache, BlocksOfEverOtherSizesDoNotPileUp) {
  keep_freed_blocks();
  const std::uint64_t before = resident_host_memory();
  // Together 2 GiB, one at a time, none of a size that another could take.
  for (std::int64_t bytes = 30 * kMiB; bytes < 300 * kMiB; bytes += bytes / 6) at::ones({bytes}, at::kByte);
  EXPECT_LT(resident_host_memory(), before + 500 * kMiB);
}

}  // namespace
}  // namespace regroup::model
