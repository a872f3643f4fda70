#include "core/model/documents.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace regroup::model {
namespace {

using Pieces = std::vector<std::int64_t>;

// Neighbouring rows cut alike, most often not at all, which one call attends to together.
struct Rows {
  Pieces counts, firsts;  // how many rows, and which is the first
};

Rows alike(const DocumentPieces& documents) {
  Rows rows;
  for (std::size_t row = 0; row < documents.size(); ++row) {
    if (row > 0 && documents[row] == documents[row - 1]) {
      ++rows.counts.back();
      continue;
    }
    rows.counts.push_back(1);
    rows.firsts.push_back(static_cast<std::int64_t>(row));
  }
  return rows;
}

// [B, H, T, D], a view whose memory is [B, T, H, D].
at::Tensor attention_in_pieces(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD, const at::Tensor& v_BKTD,
                               const ScoreRule& rule, const Pieces& pieces) {
  // split: its gradient is put together once, not once a piece.
  const auto q = q_BHTD.split_with_sizes(pieces, 2), k = k_BKTD.split_with_sizes(pieces, 2),
             v = v_BKTD.split_with_sizes(pieces, 2);
  std::vector<at::Tensor> mixed_BTHD;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    mixed_BTHD.push_back(causal_attention(q[i], k[i], v[i], rule).transpose(1, 2));
  return at::cat(mixed_BTHD, 1).transpose(1, 2);
}

}  // namespace

void check_documents(const DocumentPieces& documents, const at::Tensor& tokens_BT) {
  check(std::ssize(documents) == tokens_BT.size(0), "every row of the batch has its documents");
  for (const Pieces& pieces : documents)
    check(!pieces.empty() && std::ranges::min(pieces) > 0 &&
              std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0}) == tokens_BT.size(1),
          "a row's documents fill it");
}

at::Tensor positions_in_documents(const DocumentPieces& documents, std::int64_t tokens,
                                  at::TensorOptions options) {
  const at::Tensor positions_BT = at::empty({std::ssize(documents), tokens}, at::kLong);
  auto* out = positions_BT.mutable_data_ptr<std::int64_t>();
  for (const Pieces& pieces : documents) {
    for (const std::int64_t piece : pieces) {
      std::iota(out, out + piece, 0);
      out += piece;
    }
  }
  return positions_BT.to(options.device());
}

at::Tensor attention_within_documents(const at::Tensor& q_BHTD, const at::Tensor& k_BKTD,
                                      const at::Tensor& v_BKTD, const ScoreRule& rule,
                                      const DocumentPieces& documents) {
  const Rows rows = alike(documents);
  const auto q = q_BHTD.split_with_sizes(rows.counts), k = k_BKTD.split_with_sizes(rows.counts),
             v = v_BKTD.split_with_sizes(rows.counts);
  std::vector<at::Tensor> mixed_BTHD;
  for (std::size_t i = 0; i < rows.counts.size(); ++i) {
    const Pieces& pieces = documents[static_cast<std::size_t>(rows.firsts[i])];
    mixed_BTHD.push_back(attention_in_pieces(q[i], k[i], v[i], rule, pieces).transpose(1, 2));
  }
  return at::cat(mixed_BTHD, 0).transpose(1, 2);
}

}  // namespace regroup::model
