// Which key/value heads share one: the groups of a layer, and how they are chosen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::convert {

using Members = std::vector<std::int64_t>;  // key/value heads of one group
using Grouping = std::vector<Members>;      // groups of equal size, every head in exactly one

// Group g holds heads [g·K/G, (g+1)·K/G), as Ainslie et al. 2023 (arXiv 2305.13245, section 2.1) group them.
Grouping contiguous_groups(std::int64_t heads, std::int64_t groups);

// Every head once, group by group: where a merged model's query heads come from.
Members order_of(const Grouping& groups);

// What a choice is made from.
struct GroupingProblem {
  std::int64_t heads = 0, groups = 0;
  // Of a group, ascending members; does not depend on order. Asked for by several threads at a time.
  std::function<double(const Members&)> cost;
  // How many costs of whole groups may be asked for. Those of all pairs always may: each counts as the share
  // of a whole group's that the cubes of their sizes give.
  std::int64_t evaluations = 0;
  std::uint64_t seed = 0;

  std::int64_t size() const { return heads / groups; }
};

struct ChosenGroups {
  Grouping groups;     // members ascending, groups by their first
  bool exact = false;  // no other grouping costs less
};

// The grouping of least total cost. Pairs: minimum-weight perfect matching (Edmonds), exact. Else exact
// dynamic programming over sets of heads where the costs of all possible groups may be asked for; else swaps
// of heads between groups from several starts, best first by the sum of pair costs.
ChosenGroups cheapest_groups(const GroupingProblem& problem);

// Groups for each layer of a model from a JSON file: {"groups": [[[0, 3], [1, 2]], ...]}, a list of layers,
// each a list of groups, each a list of heads; a regroup.json that says which were used will do. UserError
// unless every layer's heads are divided into `groups` groups of equal size.
std::vector<Grouping> read_groups(const std::filesystem::path& path, std::int64_t layers, std::int64_t heads,
                                  std::int64_t groups);

}  // namespace regroup::convert
