#include "eval/memory.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/output_file.h"
#include "core/base/units.h"
#include "core/metric/scored_rows.h"
#include "core/model/device.h"

namespace regroup::eval {
namespace {

std::uint64_t element_bytes(const ScoreOptions& options) {
  return c10::elementSize(model::parse_dtype(options.dtype, "--dtype"));
}

std::string human(std::uint64_t bytes) {
  return human_bytes(static_cast<double>(bytes));
}

// What a batch takes beside weights.
std::uint64_t working_bytes(const family::ModelDirectory& model, const ScoreOptions& options) {
  const family::ModelConfig& config = model.config;
  const auto element = static_cast<std::int64_t>(element_bytes(options));
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
  return static_cast<std::uint64_t>(activations + logits) + largest;
}

std::uint64_t projection_bytes(const family::ModelConfig& config, const ScoreOptions& options) {
  return static_cast<std::uint64_t>(config.vocab_size * config.hidden) * element_bytes(options);
}

// Hidden states of many tokens, and where they lie.
struct Hidden {
  std::uint64_t bytes = 0;
  bool on_disk = false;
  std::uint64_t in_memory() const { return on_disk ? 0 : bytes; }
  std::uint64_t in_file() const { return on_disk ? bytes : 0; }
};

Hidden hidden_states(const family::ModelConfig& config, std::int64_t tokens, const ScoreOptions& options,
                     std::uint64_t most) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(tokens * config.hidden) * element_bytes(options);
  return {.bytes = bytes, .on_disk = bytes > most};
}

void require_layer(const family::ModelDirectory& model, const ScoreOptions& options, std::uint64_t beside,
                   std::uint64_t room) {
  const std::uint64_t needed = bytes_by_layers(model, options) + beside;
  if (needed <= room) return;
  throw UserError(
      {.where = model.path.string(),
       .what = fmt::format("does not fit into the memory of {}, not even a layer at a time", options.device),
       .expected = fmt::format("at most {}", human(room)),
       .found = fmt::format("about {}", human(needed)),
       .remedy = "A smaller --batch, --window or --max-tokens, or --dtype bf16, needs less"});
}

}  // namespace

std::int64_t inputs_of(const std::vector<data::Window>& windows) {
  std::int64_t inputs = 0;
  bool alike = true;
  for (const data::Window& window : windows) {
    inputs += window.length;
    alike = alike && window.length == windows.front().length;
  }
  return alike ? inputs : inputs + inputs / 3 + 1;  // scored_rows.cc: at most a quarter of a batch fills up
}

std::uint64_t bytes_whole(const family::ModelDirectory& model, const ScoreOptions& options) {
  return static_cast<std::uint64_t>(model.parameters()) * element_bytes(options) +
         working_bytes(model, options);
}

std::uint64_t bytes_by_layers(const family::ModelDirectory& model, const ScoreOptions& options) {
  std::map<std::int64_t, std::int64_t> elements;  // by layer; what is outside of them counts as one
  for (const family::ModelTensor& tensor : model.tensors)
    if (tensor.part != family::Part::kLmHead) elements[tensor.layer] += tensor.stored.info->elements();
  std::int64_t most = 0;
  for (const auto& [layer, count] : elements) most = std::max(most, count);
  return static_cast<std::uint64_t>(most) * element_bytes(options) + projection_bytes(model.config, options) +
         working_bytes(model, options);
}

Placement place(const std::vector<family::ModelDirectory>& models, const Workload& workload,
                const ScoreOptions& options, std::uint64_t most) {
  const auto at_most = [most](std::uint64_t there) { return most > 0 ? std::min(most, there) : there; };
  const auto largest = [&models](const auto& bytes_of) {
    std::uint64_t bytes = 0;
    for (const family::ModelDirectory& model : models) bytes = std::max(bytes, bytes_of(model));
    return bytes;
  };
  const at::Device device = model::open_device(options.device);
  const std::uint64_t host = at_most(available_host_memory()),
                      room = device.is_cpu() ? host : at_most(model::available_memory(device)),
                      share = static_cast<std::uint64_t>(kStatesShare * static_cast<double>(host));
  const auto beside_weights = [&](const Hidden& hidden) { return device.is_cpu() ? hidden.in_memory() : 0; };

  Hidden states, streams;
  std::uint64_t beside = 0;  // on the device, with every model
  if (models.size() > 1 && workload.compared > 0) {
    const family::ModelConfig& source = models.front().config;
    states = hidden_states(source, workload.compared, options, share);
    beside += beside_weights(states) + projection_bytes(source, options);
  }
  const std::uint64_t whole = largest([&](const auto& model) { return bytes_whole(model, options); });
  std::uint64_t needed = whole + beside;
  const bool by_layers = needed > room;
  if (by_layers) {
    for (const family::ModelDirectory& model : models)
      if (Hidden own = hidden_states(model.config, workload.inputs, options, share);
          own.bytes > streams.bytes)
        streams = own;
    beside += beside_weights(streams);
    needed = largest([&](const auto& model) { return bytes_by_layers(model, options); }) + beside;
    for (const family::ModelDirectory& model : models) require_layer(model, options, beside, room);
  }

  const std::uint64_t in_file = states.in_file() + streams.in_file();
  log_info(fmt::format(
      "memory: about {} of {} available, {}{}{}", human(needed), human(room),
      by_layers ? fmt::format("a layer at a time (a whole model: {})", human(whole)) : "a model at a time",
      states.in_memory() > 0 ? fmt::format(", beside {} of the source's states", human(states.in_memory()))
                             : "",
      in_file > 0 ? fmt::format("; {} of hidden states in a temporary file in {}", human(in_file),
                                options.scratch.string())
                  : ""));
  if (in_file > 0) require_space(options.scratch, options.scratch, in_file);
  return {.by_layers = by_layers, .states_on_disk = states.on_disk, .streams_on_disk = streams.on_disk};
}

}  // namespace regroup::eval
