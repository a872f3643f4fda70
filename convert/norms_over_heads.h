// Queries and keys that are normed over all heads together (OLMo-2): k = weight · (W x) / rms(W x). The root
// mean square hardly depends on the input, so that to a merge the heads are the rows of weight · W. What it
// makes of them is normed anew, over fewer heads: each row gets the mean of its members' weights, times a
// number that brings back the size that the heads are expected to have.
//
// This is an approximation, the only one among merges: rms(W x) / rms(W' x) is taken as its expectation.
// Where heads of a group are equal it is exact.
#pragma once

#include "convert/attention_layer.h"
#include "convert/head_statistics.h"

namespace regroup::convert {

// The layer as a merge sees it: weights of norms taken into projections, of queries only where they are
// turned.
AttentionLayer with_norms_taken_in(const AttentionLayer& source, bool queries);

// Gives what a merge made of that its norms back. `source`: the layer it was made of, its heads in the order
// in which groups have them. `moments` of the inputs; null: white ones.
void set_norms(const AttentionLayer& source, const InputMoments* moments, bool queries,
               AttentionLayer& merged);

}  // namespace regroup::convert
