// Several documents in one window, none of which sees another.
//
// Every document is as if it were run alone: attention runs on each by itself, with the kernel that a whole
// window takes, so that nothing is spent on scores that a mask would throw away. Learned positions start
// again at every document. Rotations go on along the window, since scores depend on differences only (a model
// whose frequencies change with the length of the text takes those of the window's). ALiBi's scores and
// attention windows look at the distance between two tokens of a document, and need nothing else.
//
// Shapes: B batch, T tokens, H query heads, K key/value heads, D head_dim.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/model/attention.h"

namespace regroup::model {

// For each row of a batch how long the pieces are that belong to one document each, in order; they sum to T.
using DocumentPieces = std::vector<std::vector<std::int64_t>>;

// A failed check() unless there are pieces for each row of tokens_BT, positive and of the row's sum.
void check_documents(const DocumentPieces& documents, const at::Tensor& tokens_BT);

// Where each token stands in its document, from 0: [B, T], int64.
at::Tensor positions_in_documents(const DocumentPieces& documents, std::int64_t tokens,
                                  at::TensorOptions options);

// causal_attention() of every document by itself. Differentiable.
at::Tensor attention_within_documents(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD,
                                      const at::Tensor& v_BKTD, const ScoreRule& rule,
                                      const DocumentPieces& documents);

}  // namespace regroup::model
