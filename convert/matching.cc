// Compiled as C++17: LEMON 1.3.1 uses parts of the standard library that C++20 took away.
#include "convert/matching.h"

#include <lemon/full_graph.h>
#include <lemon/matching.h>

#include <algorithm>
#include <cmath>

namespace regroup::convert {
namespace {

// LEMON's matching wants exact arithmetic: costs become integers of a fixed number of steps.
constexpr double kSteps = 1e12;

}  // namespace

std::vector<int> cheapest_matching(const std::vector<std::vector<double>>& costs) {
  const int count = static_cast<int>(costs.size());
  double largest = 0;
  for (int i = 0; i < count; ++i)
    for (int j = i + 1; j < count; ++j) largest = std::max(largest, std::abs(costs[i][j]));
  const double scale = largest > 0 ? kSteps / largest : 1;
  lemon::FullGraph graph(count);
  lemon::FullGraph::EdgeMap<long long> weights(graph);
  for (lemon::FullGraph::EdgeIt edge(graph); edge != lemon::INVALID; ++edge) {
    const int one = graph.index(graph.u(edge)), other = graph.index(graph.v(edge));
    weights[edge] = -std::llround(costs[std::min(one, other)][std::max(one, other)] * scale);
  }
  lemon::MaxWeightedPerfectMatching<lemon::FullGraph, lemon::FullGraph::EdgeMap<long long>> matching(graph,
                                                                                                     weights);
  matching.run();
  std::vector<int> partners(count);
  for (int i = 0; i < count; ++i) partners[i] = graph.index(matching.mate(graph(i)));
  return partners;
}

}  // namespace regroup::convert
