// Minimum-weight perfect matching (Edmonds 1965), by the LEMON library.
#pragma once

#include <vector>

namespace regroup::convert {

// `costs[i][j]` for i < j is what pairing i with j costs; an even number of rows. The partner of each.
std::vector<int> cheapest_matching(const std::vector<std::vector<double>>& costs);

}  // namespace regroup::convert
