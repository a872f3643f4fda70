#include "core/family/layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace regroup::family {
namespace {

using Rows = std::vector<std::int64_t>;

ModelConfig shape(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  ModelConfig config;
  config.hidden = heads * head_dim;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.ffn = 3;
  return config;
}

std::map<Part, Rows> rows_of(const Layout& layout, Part part, const ModelConfig& config) {
  std::map<Part, Rows> rows;
  for (const PartRows& held : parts_in(layout, part, config)) rows[held.part] = held.rows;
  return rows;
}

TEST(Layout, APlainTensorIsItsPart) {
  const auto parts = parts_in({}, Part::kQueryWeight, shape(2, 2, 2));
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_TRUE(parts[0].identity);
}

TEST(Layout, QueriesKeysValuesInOrder) {
  const auto rows = rows_of({.fusion = Fusion::kQueryKeyValue}, Part::kQueryWeight, shape(2, 1, 2));
  EXPECT_EQ(rows.at(Part::kQueryWeight), (Rows{0, 1, 2, 3}));
  EXPECT_EQ(rows.at(Part::kKeyWeight), (Rows{4, 5}));
  EXPECT_EQ(rows.at(Part::kValueWeight), (Rows{6, 7}));
}

// Of GPT-NeoX with a key/value head for each query head, of Falcon-7B with one for all.
TEST(Layout, GroupsHoldTheirQueriesThenKeyThenValue) {
  const auto multi_head = rows_of({.fusion = Fusion::kGroups}, Part::kQueryBias, shape(2, 2, 2));
  EXPECT_EQ(multi_head.at(Part::kQueryBias), (Rows{0, 1, 6, 7}));
  EXPECT_EQ(multi_head.at(Part::kKeyBias), (Rows{2, 3, 8, 9}));
  EXPECT_EQ(multi_head.at(Part::kValueBias), (Rows{4, 5, 10, 11}));
  const auto multi_query = rows_of({.fusion = Fusion::kGroups}, Part::kQueryWeight, shape(2, 1, 2));
  EXPECT_EQ(multi_query.at(Part::kQueryWeight), (Rows{0, 1, 2, 3}));
  EXPECT_EQ(multi_query.at(Part::kKeyWeight), (Rows{4, 5}));
}

// Four blocks of query, value, key: families.md names this order as the trap.
TEST(Layout, CodeGenKeepsFourBlocksAndValuesBeforeKeys) {
  const auto rows = rows_of({.fusion = Fusion::kCodeGen}, Part::kQueryWeight, shape(4, 4, 1));
  EXPECT_EQ(rows.at(Part::kQueryWeight), (Rows{0, 3, 6, 9}));
  EXPECT_EQ(rows.at(Part::kValueWeight), (Rows{1, 4, 7, 10}));
  EXPECT_EQ(rows.at(Part::kKeyWeight), (Rows{2, 5, 8, 11}));
}

TEST(Layout, InterleavedPairsAreSplitInTurnedCoordinatesOnly) {
  ModelConfig config = shape(2, 2, 6);
  config.rope.dims = 4;
  const auto rows = rows_of({.interleaved = true}, Part::kKeyWeight, config);
  EXPECT_EQ(rows.at(Part::kKeyWeight), (Rows{0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11}));
  EXPECT_TRUE(parts_in({.interleaved = true}, Part::kValueWeight, config)[0].identity);
}

TEST(Layout, EveryRowOfATensorIsOnePartsRow) {
  for (const Fusion fusion : {Fusion::kQueryKeyValue, Fusion::kGroups, Fusion::kCodeGen})
    for (const bool interleaved : {false, true}) {
      ModelConfig config = shape(8, 8, 4);
      config.rope.dims = 4;
      Rows all;
      for (const PartRows& held :
           parts_in({.fusion = fusion, .interleaved = interleaved}, Part::kQueryWeight, config))
        all.insert(all.end(), held.rows.begin(), held.rows.end());
      std::ranges::sort(all);
      for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<std::int64_t>(i));
      EXPECT_EQ(all.size(), 3u * 32);
    }
}

}  // namespace
}  // namespace regroup::family
