#include "eval/score.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/output_file.h"
#include "core/base/scratch_memory.h"
#include "core/base/units.h"
#include "core/metric/token_scores.h"
#include "core/model/block_cache.h"
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
  std::unique_ptr<ScratchMemory> file;  // behind the hidden states, where they are too many for memory
  metric::Distributions distributions;
};

struct Scorer::Model {
  model::Decoder decoder;
};

namespace {

std::shared_ptr<SourceStates> make_states(const model::Decoder& decoder, std::int64_t scored,
                                          const ScoreOptions& options) {
  auto states = std::make_shared<SourceStates>();
  const at::Tensor& projection_VM = decoder.output_projection();
  const std::vector<std::int64_t> shape = {scored, projection_VM.size(1)};
  const at::TensorOptions type(projection_VM.scalar_type());
  at::Tensor hidden_NM;
  if (options.states_on_disk) {
    states->file = std::make_unique<ScratchMemory>(
        options.scratch, static_cast<std::uint64_t>(scored * shape[1]) * projection_VM.element_size());
    hidden_NM = at::from_blob(states->file->bytes().data(), shape, type);
  } else {
    hidden_NM = at::empty(shape, type);
  }
  states->distributions = {
      .hidden_NM = hidden_NM, .projection_VM = projection_VM, .bias_V = decoder.output_bias()};
  return states;
}

}  // namespace

Scorer::Scorer(const family::ModelDirectory& model, const ScoreOptions& options)
    : options_(options), where_(model.path.string()) {
  model::keep_freed_blocks();
  const Clock::time_point start = Clock::now();
  model_ = std::make_unique<Model>(model::Decoder(
      model.config, model::load_weights(model, dtype_of(options), model::open_device(options.device))));
  load_seconds_ = seconds_since(start);
}

Scorer::~Scorer() = default;

Scores Scorer::score(const ScoreRequest& request, const std::function<void(std::int64_t)>& done,
                     std::shared_ptr<SourceStates>* source) const {
  const model::Decoder& decoder = model_->decoder;
  metric::ScoringOptions scoring{.batch = request.batch, .done = done, .where = where_};
  if (source && *source) {
    scoring.reference = &(*source)->distributions;
  } else if (source) {
    const std::int64_t scored = data::scored_tokens(request.windows);
    *source = make_states(decoder, scored, options_);
    scoring.keep_hidden_NM = &(*source)->distributions.hidden_NM;
  }
  const metric::TokenScores scores = metric::score_tokens(decoder, request.tokens, request.windows, scoring);
  return {.nats = to_vector<double>(scores.nats_N),
          .top = to_vector<tokenizer::Token>(scores.top_N),
          .kl = to_vector<double>(scores.kl_N)};
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

StatesNeed need_of_states(const family::ModelConfig& source, std::int64_t scored_tokens,
                          const ScoreOptions& options) {
  const auto row = static_cast<std::uint64_t>(source.hidden) * c10::elementSize(dtype_of(options));
  StatesNeed need{.hidden = static_cast<std::uint64_t>(scored_tokens) * row,
                  .projection = static_cast<std::uint64_t>(source.vocab_size) * row};
  const std::uint64_t most =
      options.states_memory > 0
          ? options.states_memory
          : static_cast<std::uint64_t>(kStatesShare * static_cast<double>(available_host_memory()));
  need.on_disk = need.hidden > most;
  return need;
}

void require_memory(const std::vector<family::ModelDirectory>& models, std::int64_t scored_tokens,
                    ScoreOptions& options) {
  const std::uint64_t available = model::available_memory(model::open_device(options.device));
  StatesNeed states;
  if (models.size() > 1 && scored_tokens > 0)
    states = need_of_states(models.front().config, scored_tokens, options);
  options.states_on_disk = states.on_disk;
  std::uint64_t most = 0;
  for (const family::ModelDirectory& model : models) {
    const std::uint64_t needed = memory_needed(model, options) + states.in_memory();
    most = std::max(most, needed);
    if (needed <= available) continue;
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("does not fit into the memory of {}", options.device),
                     .expected = fmt::format("at most {}", human_bytes(static_cast<double>(available))),
                     .found = fmt::format("about {}", human_bytes(static_cast<double>(needed))),
                     .remedy = "A smaller --batch, --window or --max-tokens, or --dtype bf16, needs less"});
  }
  std::string kept;
  if (states.hidden > 0)
    kept = fmt::format(" beside {} of the source's states",
                       human_bytes(static_cast<double>(states.in_memory())));
  if (states.on_disk)
    kept += fmt::format("; {} more of them in a temporary file in {}",
                        human_bytes(static_cast<double>(states.hidden)), options.scratch.string());
  log_info(fmt::format("memory: about {} of {} available, one model at a time{}",
                       human_bytes(static_cast<double>(most)), human_bytes(static_cast<double>(available)),
                       kept));
  if (states.on_disk) require_space(options.scratch, options.scratch, states.hidden);
}

int threads_in_use() {
  return at::get_num_threads();
}

}  // namespace regroup::eval
