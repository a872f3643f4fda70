#include "core/model/tied_copy.h"

#include "core/base/error.h"
#include "core/model/stored.h"

namespace regroup::model {

using family::ModelTensor;
using family::Part;

void check_tied_copy(const family::ModelDirectory& model) {
  const ModelTensor* copy = model.config.tied_embeddings ? model.find(Part::kLmHead) : nullptr;
  if (copy == nullptr) return;
  const ModelTensor* embedding = model.find(Part::kTokenEmbedding);
  check(embedding != nullptr, "open_model() demands the embedding");
  const at::Tensor one = read_stored(model, *embedding), other = read_stored(model, *copy);
  const at::ScalarType common = at::promote_types(one.scalar_type(), other.scalar_type());
  if (!at::equal(one.to(common), other.to(common)))
    refuse_stored(model, *copy,
                  "differs from the embedding although config.json ties the two (tie_word_embeddings)",
                  "Set tie_word_embeddings to false if the head is its own");
}

}  // namespace regroup::model
