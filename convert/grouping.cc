#include "convert/grouping.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "convert/matching.h"
#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/random.h"

namespace regroup::convert {
namespace {

constexpr std::int64_t kMostExactHeads = 20;  // dynamic programming keeps a number for each set of heads

// Costs, asked for once each.
class Costs {
 public:
  explicit Costs(const GroupingProblem& problem) : problem_(problem) {}

  double of(Members members) {
    std::ranges::sort(members);
    const auto [found, is_new] = known_.try_emplace(members, 0);
    if (is_new) {
      found->second = finite(problem_.cost(members));
      count(members);
    }
    return found->second;
  }
  // All of them at once, shared among threads.
  void ask(const std::vector<Members>& groups) {
    std::vector<double> costs(groups.size());
    at::parallel_for(0, std::ssize(groups), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        costs[i] = finite(problem_.cost(groups[i]));
    });
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (known_.emplace(groups[i], costs[i]).second) count(groups[i]);
  }
  double of(const Grouping& groups) {
    double sum = 0;
    for (const Members& members : groups) sum += of(members);
    return sum;
  }
  bool spent() const { return asked_ >= static_cast<double>(problem_.evaluations); }

 private:
  // In costs of whole groups: one takes the cube of its size (layer_merge.cc).
  void count(const Members& members) {
    asked_ += std::pow(static_cast<double>(members.size()) / static_cast<double>(problem_.size()), 3);
  }
  // A NaN would be neither more nor less than another cost: no search ends with it.
  static double finite(double cost) {
    check(std::isfinite(cost), "a merge has a cost");
    return cost;
  }

  const GroupingProblem& problem_;
  std::map<Members, double> known_;
  double asked_ = 0;
};

Grouping in_order(Grouping groups) {
  for (Members& members : groups) std::ranges::sort(members);
  std::ranges::sort(groups);
  return groups;
}

std::vector<std::vector<double>> pair_costs(const GroupingProblem& problem, Costs& costs) {
  const auto heads = static_cast<std::size_t>(problem.heads);
  std::vector<Members> all;
  for (std::int64_t i = 0; i < problem.heads; ++i)
    for (std::int64_t j = i + 1; j < problem.heads; ++j) all.push_back({i, j});
  costs.ask(all);
  std::vector<std::vector<double>> pairs(heads, std::vector<double>(heads, 0));
  for (std::size_t i = 0; i < heads; ++i)
    for (std::size_t j = i + 1; j < heads; ++j)
      pairs[i][j] = pairs[j][i] =
          costs.of(Members{static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)});
  return pairs;
}

Grouping matched_pairs(const GroupingProblem& problem, Costs& costs) {
  const std::vector<int> partners = cheapest_matching(pair_costs(problem, costs));
  Grouping groups;
  for (int head = 0; head < static_cast<int>(partners.size()); ++head)
    if (head < partners[static_cast<std::size_t>(head)])
      groups.push_back({head, partners[static_cast<std::size_t>(head)]});
  return groups;
}

// Number of sets of `size` out of `heads`, or `most` if it is more.
std::int64_t count_groups(std::int64_t heads, std::int64_t size, std::int64_t most) {
  double count = 1;
  for (std::int64_t i = 0; i < size; ++i)
    count = count * static_cast<double>(heads - i) / static_cast<double>(i + 1);
  return count > static_cast<double>(most) ? most : static_cast<std::int64_t>(count + 0.5);
}

Members members_of(std::uint32_t set) {
  Members members;
  for (; set != 0; set &= set - 1) members.push_back(std::countr_zero(set));
  return members;
}

// best[set]: the least cost of dividing the heads of `set` into groups. The group with the lowest head that
// is left is chosen next, so that every grouping is built in one way.
class ExactGroups {
 public:
  ExactGroups(const GroupingProblem& problem, Costs& costs)
      : size_(problem.size()),
        all_((1u << problem.heads) - 1),
        best_(std::size_t{all_} + 1, std::numeric_limits<double>::infinity()),
        last_(std::size_t{all_} + 1, 0),
        costs_(costs) {}

  Grouping solve() {
    best_[0] = 0;
    for (std::uint32_t set = 0; set < all_; ++set) {
      if (best_[set] == std::numeric_limits<double>::infinity()) continue;
      const auto lowest = static_cast<std::uint32_t>(std::countr_one(set));
      extend(set, 1u << lowest, lowest + 1, size_ - 1);
    }
    Grouping groups;
    for (std::uint32_t set = all_; set != 0; set &= ~last_[set]) groups.push_back(members_of(last_[set]));
    return groups;
  }

 private:
  void extend(std::uint32_t set, std::uint32_t group, std::uint32_t from, std::int64_t missing) {
    if (missing == 0) {
      const double total = best_[set] + costs_.of(members_of(group));
      if (total < best_[set | group]) {
        best_[set | group] = total;
        last_[set | group] = group;
      }
      return;
    }
    for (std::uint32_t head = from; all_ >> head != 0; ++head)
      if ((set >> head & 1u) == 0) extend(set, group | 1u << head, head + 1, missing - 1);
  }

  std::int64_t size_;
  std::uint32_t all_;
  std::vector<double> best_;
  std::vector<std::uint32_t> last_;
  Costs& costs_;
};

// Swaps two heads of different groups as long as that helps: a local minimum, or what is reached when
// `stop` says so.
template <typename Cost, typename Stop>
Grouping improved_by_swaps(Grouping groups, Cost cost, Stop stop) {
  std::vector<double> costs;
  for (const Members& members : groups) costs.push_back(cost(members));
  for (bool improved = true; improved;) {
    improved = false;
    for (std::size_t a = 0; a < groups.size(); ++a)
      for (std::size_t b = a + 1; b < groups.size(); ++b)
        for (std::int64_t& one : groups[a])
          for (std::int64_t& other : groups[b]) {
            if (stop()) return groups;
            std::swap(one, other);
            const double first = cost(groups[a]), second = cost(groups[b]);
            if (first + second < (costs[a] + costs[b]) * (1 - 1e-12)) {
              costs[a] = first;
              costs[b] = second;
              improved = true;
            } else {
              std::swap(one, other);
            }
          }
  }
  return groups;
}

Grouping shuffled_groups(const GroupingProblem& problem, RandomStream& stream) {
  Members heads(static_cast<std::size_t>(problem.heads));
  std::iota(heads.begin(), heads.end(), 0);
  for (std::size_t i = heads.size() - 1; i > 0; --i) std::swap(heads[i], heads[stream.below(i + 1)]);
  Grouping groups;
  for (std::int64_t g = 0; g < problem.groups; ++g)
    groups.emplace_back(heads.begin() + g * problem.size(), heads.begin() + (g + 1) * problem.size());
  return groups;
}

Grouping swapped_groups(const GroupingProblem& problem, Costs& costs) {
  const auto pairs = pair_costs(problem, costs);
  const auto by_pairs = [&](const Members& members) {
    double sum = 0;
    for (const std::int64_t one : members)
      for (const std::int64_t other : members)
        sum += pairs[static_cast<std::size_t>(one)][static_cast<std::size_t>(other)];
    return sum / 2;
  };
  constexpr int kStarts = 64;
  RandomStream stream(problem.seed, "convert/grouping");
  std::vector<std::pair<double, Grouping>> starts;
  const auto add_start = [&](Grouping groups) {
    groups = in_order(improved_by_swaps(std::move(groups), by_pairs, [] { return false; }));
    double sum = 0;
    for (const Members& members : groups) sum += by_pairs(members);
    starts.emplace_back(sum, std::move(groups));
  };
  add_start(contiguous_groups(problem.heads, problem.groups));
  for (int i = 1; i < kStarts; ++i) add_start(shuffled_groups(problem, stream));
  std::ranges::sort(starts);
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  Grouping best = contiguous_groups(problem.heads, problem.groups);
  double least = costs.of(best);
  for (const auto& [by_pair, start] : starts) {
    const Grouping groups = improved_by_swaps(
        start, [&](const Members& members) { return costs.of(members); }, [&] { return costs.spent(); });
    const double total = costs.of(groups);
    if (total < least) {
      least = total;
      best = groups;
    }
    if (costs.spent()) break;
  }
  return best;
}

// {0, …, heads - 1}, each once, in `groups` groups of equal size.
bool is_partition(const Grouping& grouping, std::int64_t heads, std::int64_t groups) {
  std::vector<std::int64_t> seen;
  for (const Members& members : grouping) {
    if (static_cast<std::int64_t>(members.size()) != heads / groups) return false;
    seen.insert(seen.end(), members.begin(), members.end());
  }
  std::ranges::sort(seen);
  std::vector<std::int64_t> all(static_cast<std::size_t>(heads));
  std::iota(all.begin(), all.end(), 0);
  return static_cast<std::int64_t>(grouping.size()) == groups && seen == all;
}

}  // namespace

Members order_of(const Grouping& groups) {
  Members order;
  for (const Members& members : groups) order.insert(order.end(), members.begin(), members.end());
  return order;
}

Grouping contiguous_groups(std::int64_t heads, std::int64_t groups) {
  check(groups > 0 && heads % groups == 0, "groups of equal size");
  Grouping grouping(static_cast<std::size_t>(groups), Members(static_cast<std::size_t>(heads / groups)));
  std::int64_t head = 0;
  for (Members& members : grouping)
    for (std::int64_t& member : members) member = head++;
  return grouping;
}

ChosenGroups cheapest_groups(const GroupingProblem& problem) {
  if (problem.groups == 1 || problem.groups == problem.heads)
    return {contiguous_groups(problem.heads, problem.groups), true};
  Costs costs(problem);
  if (problem.size() == 2) return {in_order(matched_pairs(problem, costs)), true};
  const std::int64_t table = count_groups(problem.heads, problem.size(), problem.evaluations + 1);
  if (problem.heads <= kMostExactHeads && table <= problem.evaluations)
    return {in_order(ExactGroups(problem, costs).solve()), true};
  return {in_order(swapped_groups(problem, costs)), false};
}

std::vector<Grouping> read_groups(const std::filesystem::path& path, std::int64_t layers, std::int64_t heads,
                                  std::int64_t groups) {
  const Json json = read_json(path);
  const auto refuse = [&](const std::string& what) {
    throw UserError(
        {.where = path.string(),
         .what = what,
         .expected = fmt::format("\"groups\": for each of {} layers {} lists that divide heads 0 to {}"
                                 " evenly, such as [[0, 3], [1, 2]]",
                                 layers, groups, heads - 1)});
  };
  const Json* list = json.is_object() && json.contains("groups") ? &json["groups"] : nullptr;
  if (list == nullptr && json.is_object() && json.contains("result") && json["result"].contains("groups"))
    list = &json["result"]["groups"];
  if (list == nullptr) refuse("says no groups");
  const Json heads_in_it = list->flatten();
  for (const auto& [place, head] : heads_in_it.items())
    if (!head.is_number_integer())
      refuse(fmt::format("'groups{}' is {}, not a head's number", place, head.dump()));
  std::vector<Grouping> all;
  try {
    all = list->get<std::vector<Grouping>>();
  } catch (const Json::exception&) {
    refuse("'groups' is not a list of lists of lists of heads");
  }
  if (static_cast<std::int64_t>(all.size()) != layers)
    refuse(fmt::format("'groups' is for {} layers", all.size()));
  for (std::size_t layer = 0; layer < all.size(); ++layer)
    if (!is_partition(all[layer], heads, groups))
      refuse(fmt::format("the groups of layer {} do not divide the heads", layer));
  return all;
}

}  // namespace regroup::convert
