#include "eval/score.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/units.h"
#include "core/metric/nll.h"
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

}  // namespace

Scores score_model(const family::ModelDirectory& model, const std::vector<tokenizer::Token>& tokens,
                   const std::vector<data::Window>& windows, const ScoreOptions& options,
                   const std::function<void(std::int64_t)>& done) {
  Scores scores;
  const Clock::time_point start = Clock::now();
  const model::Decoder decoder(
      model.config, model::load_weights(model, dtype_of(options), model::open_device(options.device)));
  scores.load_seconds = seconds_since(start);
  const Clock::time_point loaded = Clock::now();
  const at::Tensor nats =
      metric::token_nll(decoder, tokens, windows, options.batch, done, model.path.string());
  const auto* values = nats.const_data_ptr<double>();
  scores.nats.assign(values, values + nats.numel());
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
      metric::rows_per_chunk(config.vocab_size) * config.vocab_size * (3 * 4 + element);
  return static_cast<std::uint64_t>(model.parameters() * element + activations + logits) + largest;
}

void require_memory(const std::vector<family::ModelDirectory>& models, const ScoreOptions& options) {
  const std::uint64_t available = model::available_memory(model::open_device(options.device));
  std::uint64_t most = 0;
  for (const family::ModelDirectory& model : models) {
    const std::uint64_t needed = memory_needed(model, options);
    most = std::max(most, needed);
    if (needed <= available) continue;
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("does not fit into the memory of {}", options.device),
                     .expected = fmt::format("at most {}", human_bytes(static_cast<double>(available))),
                     .found = fmt::format("about {}", human_bytes(static_cast<double>(needed))),
                     .remedy = "A smaller --batch or --window, or --dtype bf16, needs less"});
  }
  log_info(fmt::format("memory: about {} of {} available, one model at a time",
                       human_bytes(static_cast<double>(most)), human_bytes(static_cast<double>(available))));
}

int threads_in_use() {
  return at::get_num_threads();
}

}  // namespace regroup::eval
