#include "eval/score.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/metric/token_scores.h"
#include "core/model/block_cache.h"
#include "core/model/decoder.h"
#include "core/model/device.h"
#include "core/model/scratch_tensor.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

at::ScalarType dtype_of(const ScoreOptions& options) {
  return model::parse_dtype(options.dtype, "--dtype");
}

template <typename T>
std::vector<T> to_vector(const at::Tensor& values) {
  if (!values.defined()) return {};
  const auto* begin = values.const_data_ptr<T>();
  return {begin, begin + values.numel()};
}

}  // namespace

struct SourceStates {
  metric::Distributions distributions;
};

struct Scorer::Model {
  const family::ModelDirectory& directory;
  model::Decoder decoder;  // by layers: without them
};

namespace {

std::optional<fs::path> place(bool on_disk, const ScoreOptions& options) {
  return on_disk ? std::optional(options.scratch) : std::nullopt;
}

std::shared_ptr<SourceStates> make_states(const model::Decoder& decoder, std::int64_t scored,
                                          const ScoreOptions& options) {
  const at::Tensor& projection_VM = decoder.output_projection();
  return std::make_shared<SourceStates>(SourceStates{
      {.hidden_NM = model::scratch_tensor({scored, projection_VM.size(1)}, projection_VM.scalar_type(),
                                          place(options.placement.states_on_disk, options)),
       .projection_VM = projection_VM,
       .bias_V = decoder.output_bias()}});
}

model::Weights weights_of(const family::ModelDirectory& model, const ScoreOptions& options) {
  const auto load = options.placement.by_layers ? model::load_head : model::load_weights;
  return load(model, dtype_of(options), model::open_device(options.device));
}

}  // namespace

Scorer::Scorer(const family::ModelDirectory& model, const ScoreOptions& options)
    : options_(options), where_(model.path.string()) {
  model::keep_freed_blocks();
  const Clock::time_point start = Clock::now();
  model_ = std::make_unique<Model>(model, model::Decoder(model.config, weights_of(model, options)));
  load_seconds_ = seconds_since(start);
}

Scorer::~Scorer() = default;

Scores Scorer::score(const ScoreRequest& request, const std::function<void(double)>& done,
                     std::shared_ptr<SourceStates>* source) const {
  const model::Decoder& decoder = model_->decoder;
  const std::int64_t scored = data::scored_tokens(request.windows);
  metric::ScoringOptions scoring{.batch = request.batch, .where = where_};
  if (options_.placement.by_layers) {
    const auto room = [&](std::int64_t rows, std::int64_t columns) {
      return model::scratch_tensor({rows, columns}, decoder.output_projection().scalar_type(),
                                   place(options_.placement.streams_on_disk, options_));
    };
    scoring.states = metric::layer_by_layer(model_->directory, decoder, room, [&, scored](double share) {
      done(share * static_cast<double>(scored));
    });
  } else {
    scoring.done = [&](std::int64_t tokens) { done(static_cast<double>(tokens)); };
  }
  if (source && *source) {
    scoring.reference = &(*source)->distributions;
  } else if (source) {
    *source = make_states(decoder, scored, options_);
    scoring.keep_hidden_NM = &(*source)->distributions.hidden_NM;
  }
  const metric::TokenScores scores = metric::score_tokens(decoder, request.tokens, request.windows, scoring);
  return {.nats = to_vector<double>(scores.nats_N),
          .top = to_vector<tokenizer::Token>(scores.top_N),
          .kl = to_vector<double>(scores.kl_N)};
}

int threads_in_use() {
  return at::get_num_threads();
}

}  // namespace regroup::eval
