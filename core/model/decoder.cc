#include "core/model/decoder.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/fused.h"
#include "core/model/norm.h"

namespace regroup::model {

using family::Part;

Decoder::Decoder(const family::ModelConfig& config, Weights weights)
    : config_(config), weights_(std::move(weights)) {
  rope_frequencies_C_ = rotation_frequencies(config_, weight_of(weights_, Part::kTokenEmbedding).options());
}

at::Tensor embedded(const Weights& weights, const at::Tensor& tokens_BT) {
  const at::Tensor& table_VM = weight_of(weights, Part::kTokenEmbedding);
  return fused::applies(table_VM) ? fused::embedding(table_VM, tokens_BT)
                                  : at::embedding(table_VM, tokens_BT);
}

Rotation rotation_for(const at::Tensor& stream, const at::Tensor& frequencies_C, std::int64_t first,
                      std::int64_t count) {
  return rotation_at(frequencies_C, first, count, fused::applies(stream) ? at::kFloat : stream.scalar_type());
}

at::Tensor Decoder::hidden_states(const at::Tensor& tokens_BT, KvCache* cache) const {
  const std::int64_t first = cache ? cache->length() : 0, count = tokens_BT.size(1);
  check(cache == nullptr || first + count <= cache->capacity(),
        fmt::format("{} tokens do not fit in a cache that holds {} of {}", count, first,
                    cache ? cache->capacity() : 0));
  at::Tensor x_BTM = embedded(weights_, tokens_BT);
  const Rotation rotation = rotation_for(x_BTM, rope_frequencies_C_, first, count);
  for (std::int64_t layer = 0; layer < config_.layers; ++layer)
    x_BTM = DecoderLayer(config_, weights_, layer)(x_BTM, rotation, cache);
  if (cache) cache->advance(count);
  return rms_norm(x_BTM, weight_of(weights_, Part::kFinalNorm), config_.norm_epsilon);
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return at::linear(hidden, output_projection());
}

const at::Tensor& Decoder::output_projection() const {
  return weight_of(weights_, config_.tied_embeddings ? Part::kTokenEmbedding : Part::kLmHead);
}

}  // namespace regroup::model
