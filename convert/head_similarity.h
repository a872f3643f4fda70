// How well one head of a layer could stand in for another, before anything is merged.
//
// s(i, j) = sqrt(1 - min over A of E‖w_i (h_i - A h_j)‖² / E‖w_i h_i‖²): the correlation of head i with its
// best image of head j, weighted by what head i's queries (keys) or its output projection (values) make of
// it. "Before": A is one real number, heads are compared as they stand, as a plain mean sees them. "After": A
// is all that queries and outputs can absorb without the model changing, a complex factor for each rotary
// pair of keys, any map of coordinates that positions leave alone, any D x D map of values.
//
// Both lie in [0, 1]; "after" is never below "before", does not change with exact symmetries of the model,
// and is 1 where j is i up to one. Unrelated heads have about sqrt(1/N) (keys) and sqrt(D/N) (values) after.
#pragma once

#include <ATen/ATen.h>

#include "convert/head_statistics.h"

namespace regroup::convert {

struct HeadSimilarity {
  at::Tensor before_KK, after_KK;  // float64; row i is head i, column j its stand-in
};

HeadSimilarity key_similarity(const HeadStatistics& statistics);
HeadSimilarity value_similarity(const HeadStatistics& statistics);

}  // namespace regroup::convert
