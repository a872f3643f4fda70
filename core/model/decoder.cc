#include "core/model/decoder.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/fused.h"
#include "core/model/recompute.h"

namespace regroup::model {

using family::Part;

namespace {

at::Tensor find(const Weights& weights, Part part) {
  const auto found = weights.find({part, -1});
  return found == weights.end() ? at::Tensor() : found->second;
}

}  // namespace

Decoder::Decoder(const family::ModelConfig& config, Weights weights)
    : config_(config), weights_(std::move(weights)) {}

at::Tensor embedded(const family::ModelConfig& config, const Weights& weights, const at::Tensor& tokens_BT,
                    std::int64_t first, const DocumentPieces* documents) {
  const at::Tensor& table_VM = weight_of(weights, Part::kTokenEmbedding);
  at::Tensor x_BTM =
      fused::applies(table_VM) ? fused::embedding(table_VM, tokens_BT) : at::embedding(table_VM, tokens_BT);
  if (config.embedding_scale != 1) x_BTM = x_BTM * at::scalar_tensor(config.embedding_scale, x_BTM.options());
  if (config.positions == family::Positions::kLearned) {
    const at::Tensor& positions_PM = weight_of(weights, Part::kPositionEmbedding);
    const std::int64_t row = first + config.position_offset, count = tokens_BT.size(1);
    check(row + count <= positions_PM.size(0), "a text no longer than the model's positions");
    x_BTM = x_BTM + (documents == nullptr
                         ? positions_PM.narrow(0, row, count)
                         : at::embedding(positions_PM, row + positions_in_documents(*documents, count,
                                                                                    tokens_BT.options())));
  }
  if (config.embedding_norm)
    x_BTM = stream_norm(config, x_BTM, weight_of(weights, Part::kEmbeddingNorm),
                        find(weights, Part::kEmbeddingNormBias));
  return x_BTM;
}

Rotation rotation_for(const family::ModelConfig& config, const at::Tensor& stream, std::int64_t first,
                      std::int64_t count) {
  return rotation_at(config, first, count, stream.options(),
                     fused::applies(stream) ? at::kFloat : stream.scalar_type());
}

at::Tensor Decoder::hidden_states(const at::Tensor& tokens_BT, KvCache* cache,
                                  const DocumentPieces* documents) const {
  const std::int64_t first = cache ? cache->length() : 0, count = tokens_BT.size(1);
  check(cache == nullptr || first + count <= cache->capacity(),
        fmt::format("{} tokens do not fit in a cache that holds {} of {}", count, first,
                    cache ? cache->capacity() : 0));
  check(cache == nullptr || documents == nullptr, "a cache holds one document a row");
  if (documents) check_documents(*documents, tokens_BT);
  at::Tensor x_BTM = embedded(config_, weights_, tokens_BT, first, documents);
  const Rotation rotation = rotation_for(config_, x_BTM, first, count);
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    const auto run = [this, layer, rotation, cache, documents](const at::Tensor& x) {
      return DecoderLayer(config_, weights_, layer)(x, rotation, cache, documents);
    };
    x_BTM = cache == nullptr && recomputing() ? recomputed(run, x_BTM) : run(x_BTM);
  }
  if (cache) cache->advance(count);
  return final_states(x_BTM);
}

at::Tensor Decoder::final_states(const at::Tensor& x_BTM) const {
  const at::Tensor weight_M = config_.norm_weight ? weight_of(weights_, Part::kFinalNorm) : at::Tensor();
  const at::Tensor final_BTM = stream_norm(config_, x_BTM, weight_M, find(weights_, Part::kFinalNormBias));
  return config_.logit_scale == 1 ? final_BTM : final_BTM * config_.logit_scale;
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  const at::Tensor bias_V = output_bias();
  return bias_V.defined() ? at::linear(hidden, output_projection(), bias_V)
                          : at::linear(hidden, output_projection());
}

const at::Tensor& Decoder::output_projection() const {
  return weight_of(weights_, config_.tied_embeddings ? Part::kTokenEmbedding : Part::kLmHead);
}

at::Tensor Decoder::output_bias() const {
  return find(weights_, Part::kLmHeadBias);
}

}  // namespace regroup::model
