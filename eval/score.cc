#include "eval/score.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/units.h"
#include "core/metric/token_scores.h"
#include "core/model/decoder.h"
#include "core/model/device.h"

namespace regroup::eval {
namespace {

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

Scores score_model(const family::ModelDirectory& model, const std::vector<tokenizer::Token>& tokens,
                   const std::vector<data::Window>& windows, const ScoreOptions& options,
                   const std::function<void(std::int64_t)>& done, std::shared_ptr<SourceStates>* source) {
  Scores scores;
  const Clock::time_point start = Clock::now();
  const model::Decoder decoder(
      model.config, model::load_weights(model, dtype_of(options), model::open_device(options.device)));
  scores.load_seconds = seconds_since(start);
  const Clock::time_point loaded = Clock::now();
  metric::ScoringOptions scoring{.batch = options.batch, .done = done, .where = model.path.string()};
  if (source && *source) {
    scoring.reference = &(*source)->distributions;
  } else if (source) {
    const at::Tensor& projection_VM = decoder.output_projection();
    *source = std::make_shared<SourceStates>(
        SourceStates{{.hidden_NM = at::empty({metric::scored_tokens(windows), projection_VM.size(1)},
                                             at::TensorOptions(projection_VM.scalar_type())),
                      .projection_VM = projection_VM,
                      .bias_V = decoder.output_bias()}});
    scoring.keep_hidden_NM = &(*source)->distributions.hidden_NM;
  }
  const metric::TokenScores tokens_scores = metric::score_tokens(decoder, tokens, windows, scoring);
  scores.nats = to_vector<double>(tokens_scores.nats_N);
  scores.top = to_vector<tokenizer::Token>(tokens_scores.top_N);
  scores.kl = to_vector<double>(tokens_scores.kl_N);
  scores.score_seconds = seconds_since(loaded);
  return scores;
}

std::uint64_t memory_needed(const family::ModelDirectory& model, const ScoreOptions& options) {
  const family::ModelConfig& config = model.config;
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype_of(options)));
  std::uint64_t largest = 0;
  for (const family::ModelTensor& tensor : model.tensors)
    largest = std::max(largest, tensor.stored.info->bytes());
  // At its widest a layer holds the residual stream, its norm in fp32, and the gated products of the MLP, or
  // queries, keys, values and what attention makes of them.
  const std::int64_t width =
      4 * config.hidden + std::max(3 * config.ffn, 4 * config.query_width() + 4 * config.kv_width());
  const std::int64_t rows = options.batch * options.window;
  const std::int64_t activations = rows * (width * element + 4 * config.hidden);
  const std::int64_t logits =
      metric::rows_per_chunk(config.vocab_size) * config.vocab_size * (6 * 4 + 2 * element);
  return static_cast<std::uint64_t>(model.parameters() * element + activations + logits) + largest;
}

std::uint64_t memory_of_states(const family::ModelDirectory& source, std::int64_t scored_tokens,
                               const ScoreOptions& options) {
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype_of(options)));
  const std::int64_t rows = scored_tokens + source.config.vocab_size;
  return static_cast<std::uint64_t>(rows * source.config.hidden * element);
}

void require_memory(const std::vector<family::ModelDirectory>& models, std::int64_t scored_tokens,
                    const ScoreOptions& options) {
  const std::uint64_t available = model::available_memory(model::open_device(options.device));
  const std::uint64_t states =
      models.size() > 1 ? memory_of_states(models.front(), scored_tokens, options) : 0;
  std::uint64_t most = 0;
  for (const family::ModelDirectory& model : models) {
    const std::uint64_t needed = memory_needed(model, options) + states;
    most = std::max(most, needed);
    if (needed <= available) continue;
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("does not fit into the memory of {}", options.device),
                     .expected = fmt::format("at most {}", human_bytes(static_cast<double>(available))),
                     .found = fmt::format("about {}", human_bytes(static_cast<double>(needed))),
                     .remedy = "A smaller --batch, --window or --max-tokens, or --dtype bf16, needs less"});
  }
  const std::string kept = states > 0 ? fmt::format(" beside {} of the source's hidden states",
                                                    human_bytes(static_cast<double>(states)))
                                      : "";
  log_info(fmt::format("memory: about {} of {} available, one model at a time{}",
                       human_bytes(static_cast<double>(most)), human_bytes(static_cast<double>(available)),
                       kept));
}

int threads_in_use() {
  return at::get_num_threads();
}

}  // namespace regroup::eval
