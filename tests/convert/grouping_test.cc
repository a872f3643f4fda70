#include "convert/grouping.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "convert/layer_merge.h"
#include "convert/matching.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::convert {
namespace {

using testing::TempDir;
using testing::user_error_of;

// A cost with structure: what pairs cost, and a term of the whole group.
struct RandomCosts {
  std::vector<std::vector<double>> pairs;
  RandomCosts(std::int64_t heads, std::uint64_t seed) {
    RandomStream stream(seed, "costs");
    pairs.assign(static_cast<std::size_t>(heads), std::vector<double>(static_cast<std::size_t>(heads)));
    for (std::size_t i = 0; i < pairs.size(); ++i)
      for (std::size_t j = i + 1; j < pairs.size(); ++j) pairs[i][j] = stream.uniform();
  }
  double operator()(const Members& members) const {
    double sum = 0, largest = 0;
    for (const std::int64_t i : members)
      for (const std::int64_t j : members)
        if (i < j) {
          const double cost = pairs[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
          sum += cost;
          largest = std::max(largest, cost);
        }
    return sum + largest;
  }
};

double total(const Grouping& groups, const RandomCosts& cost) {
  double sum = 0;
  for (Members members : groups) {
    std::ranges::sort(members);
    sum += cost(members);
  }
  return sum;
}

// The least total over all ways to divide what is left of `heads`, by trying them all.
double least_by_trying(std::vector<std::int64_t> heads, std::size_t size, const RandomCosts& cost) {
  if (heads.empty()) return 0;
  double least = std::numeric_limits<double>::infinity();
  std::vector<bool> chosen(heads.size() - 1, false);
  std::fill(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(size - 1), true);
  do {
    Members group = {heads[0]};
    std::vector<std::int64_t> rest;
    for (std::size_t i = 1; i < heads.size(); ++i) (chosen[i - 1] ? group : rest).push_back(heads[i]);
    least = std::min(least, cost(group) + least_by_trying(rest, size, cost));
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  return least;
}

std::vector<std::int64_t> first_heads(std::int64_t count) {
  std::vector<std::int64_t> heads;
  for (std::int64_t i = 0; i < count; ++i) heads.push_back(i);
  return heads;
}

TEST(Grouping, CostsAreNumbers) {
  for (const std::int64_t groups : {2, 3, 6})
    EXPECT_THROW(cheapest_groups({.heads = 12,
                                  .groups = groups,
                                  .cost = [](const Members&) { return std::nan(""); },
                                  .evaluations = 100000}),
                 std::logic_error);
}

TEST(Grouping, MoreTimeNeverMeansLessSearch) {
  const RandomCosts cost(8, 3);
  const auto chosen = [&](double seconds) {
    return choose_groups({.method = &merge_method("optimal"),
                          .groups = 2,
                          .by_cost = true,
                          .grouping_seconds = seconds,
                          .layers = 1},
                         8, 4, 0, cost);
  };
  EXPECT_FALSE(chosen(1e-6).exact);
  for (const double seconds : {120., 1e30, 1e300, std::numeric_limits<double>::infinity()}) {
    EXPECT_TRUE(chosen(seconds).exact) << seconds;
    EXPECT_EQ(chosen(seconds).groups, chosen(120).groups);
  }
}

TEST(Grouping, ContiguousGroupsAreAinslies) {
  EXPECT_EQ(contiguous_groups(6, 2), (Grouping{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(contiguous_groups(4, 4), (Grouping{{0}, {1}, {2}, {3}}));
}

TEST(Grouping, PairsAndSmallTablesAreExact) {
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const auto& [heads, groups] : {std::pair{8, 4}, {8, 2}, {9, 3}, {10, 5}, {10, 2}}) {
      const RandomCosts cost(heads, seed);
      const ChosenGroups chosen =
          cheapest_groups({.heads = heads, .groups = groups, .cost = cost, .evaluations = 1000});
      EXPECT_TRUE(chosen.exact);
      EXPECT_NEAR(total(chosen.groups, cost),
                  least_by_trying(first_heads(heads), static_cast<std::size_t>(heads / groups), cost), 1e-9);
    }
}

TEST(Grouping, LargerTablesAreSearchedAndNeverWorseThanContiguous) {
  int found = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const RandomCosts cost(12, seed);
    // The table has 220 groups of three: 150 costs do not pay for it.
    const ChosenGroups chosen =
        cheapest_groups({.heads = 12, .groups = 4, .cost = cost, .evaluations = 150, .seed = seed});
    EXPECT_FALSE(chosen.exact);
    EXPECT_LT(total(chosen.groups, cost), total(contiguous_groups(12, 4), cost));
    const double least = least_by_trying(first_heads(12), 3, cost);
    EXPECT_LT(total(chosen.groups, cost), 1.25 * least);
    found += total(chosen.groups, cost) < least + 1e-9;
  }
  EXPECT_GE(found, 5) << "the best grouping is often found";
}

// Heads of a hidden group cost each other less than any others do: that division is the cheapest of all.
TEST(Grouping, HiddenGroupsAreFoundAmongMoreHeadsThanCanBeTried) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomCosts cost(24, seed);
    std::vector<std::int64_t> heads = first_heads(24);
    RandomStream stream(seed, "hidden");
    for (std::size_t i = 23; i > 0; --i) std::swap(heads[i], heads[stream.below(i + 1)]);
    Grouping hidden;
    for (auto head = heads.begin(); head != heads.end(); head += 4) hidden.emplace_back(head, head + 4);
    for (auto& row : cost.pairs)
      for (double& pair : row) pair += 1;
    for (Members& members : hidden) {
      std::ranges::sort(members);
      for (const std::int64_t i : members)
        for (const std::int64_t j : members)
          if (i < j) cost.pairs[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] -= 1;
    }
    std::ranges::sort(hidden);
    const ChosenGroups chosen =
        cheapest_groups({.heads = 24, .groups = 6, .cost = cost, .evaluations = 20000, .seed = seed});
    EXPECT_EQ(chosen.groups, hidden) << seed;
    EXPECT_FALSE(chosen.exact) << "20,000 costs pay for the table; the sets of 24 heads are too many";
  }
}

TEST(Grouping, TheSeedChoosesWhereTheSearchStarts) {
  const RandomCosts cost(40, 0);
  std::vector<Grouping> found;
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    found.push_back(
        cheapest_groups({.heads = 40, .groups = 10, .cost = cost, .evaluations = 1000, .seed = seed}).groups);
  EXPECT_NE(std::ranges::count(found, found.front()), 8);
}

TEST(Grouping, CostsAreAskedForOnceAndWithinTheBudget) {
  std::mutex mutex;
  std::vector<Members> asked;
  const RandomCosts cost(16, 1);
  const auto counting = [&](const Members& members) {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(std::ranges::is_sorted(members));
    asked.push_back(members);
    return cost(members);
  };
  cheapest_groups({.heads = 16, .groups = 4, .cost = counting, .evaluations = 300});
  double whole_groups = 0;
  for (const Members& members : asked) whole_groups += std::pow(static_cast<double>(members.size()) / 4, 3);
  EXPECT_LE(whole_groups, 300 + 8) << "a swap that was begun is finished";
  EXPECT_GT(asked.size(), 350u) << "pairs cost an eighth";
  std::ranges::sort(asked);
  EXPECT_TRUE(std::ranges::adjacent_find(asked) == asked.end());
}

TEST(Grouping, ADecidedChoiceCostsNothing) {
  const auto none = [](const Members&) -> double { throw std::logic_error("asked"); };
  EXPECT_EQ(cheapest_groups({.heads = 4, .groups = 1, .cost = none}).groups, contiguous_groups(4, 1));
  EXPECT_EQ(cheapest_groups({.heads = 4, .groups = 4, .cost = none}).groups, contiguous_groups(4, 4));
}

TEST(Grouping, MatchingTakesTheCheaperOfThreePairings) {
  const std::vector<std::vector<double>> costs = {{0, 5, 1, 9}, {5, 0, 9, 1}, {1, 9, 0, 5}, {9, 1, 5, 0}};
  EXPECT_EQ(cheapest_matching(costs), (std::vector<int>{2, 3, 0, 1}));
}

TEST(Grouping, FilesOfGroupsAreReadFromBothForms) {
  TempDir folder;
  const std::vector<Grouping> groups = {{{0, 3}, {1, 2}}, {{2, 3}, {1, 0}}};
  write_text(folder / "a.json", R"({"groups": [[[0, 3], [1, 2]], [[2, 3], [1, 0]]]})");
  write_text(folder / "b.json", R"({"result": {"groups": [[[0, 3], [1, 2]], [[2, 3], [1, 0]]]}})");
  EXPECT_EQ(read_groups(folder / "a.json", 2, 4, 2), groups);
  EXPECT_EQ(read_groups(folder / "b.json", 2, 4, 2), groups);
}

TEST(Grouping, WrongFilesOfGroupsAreRefused) {
  TempDir folder;
  const auto refusal = [&](const std::string& text) {
    std::filesystem::remove(folder / "groups.json");
    write_text(folder / "groups.json", text);
    return user_error_of([&] { read_groups(folder / "groups.json", 1, 4, 2); });
  };
  EXPECT_CONTAINS(refusal("{}"), "says no groups");
  EXPECT_CONTAINS(refusal("[]"), "says no groups");
  EXPECT_CONTAINS(refusal(R"({"groups": 3})"), "is not a list of lists of lists");
  EXPECT_CONTAINS(refusal(R"({"groups": [[[0.9, 1.2], [2, 3]]]})"),
                  "'groups/0/0/0' is 0.9, not a head's number");
  EXPECT_CONTAINS(refusal(R"({"groups": [[[0, true], [2, 3]]]})"), "'groups/0/0/1' is true");
  EXPECT_CONTAINS(refusal(R"({"groups": [[[0, 1], [2, 3]], [[0, 1], [2, 3]]]})"), "is for 2 layers");
  for (const char* wrong : {"[[0, 1], [2, 2]]", "[[0, 1], [2, 4]]", "[[0, 1, 2], [3]]", "[[0, 1]]",
                            "[[0, 1], [2]]", "[[0,-1],[2,3]]"})
    EXPECT_CONTAINS(refusal(std::string("{\"groups\": [") + wrong + "]}"),
                    "the groups of layer 0 do not divide the heads");
}

}  // namespace
}  // namespace regroup::convert
