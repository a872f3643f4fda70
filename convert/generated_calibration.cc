#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "convert/calibration.h"
#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/units.h"
#include "core/model/decoder.h"
#include "core/model/device.h"
#include "core/model/generate.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::convert {
namespace {

using tokenizer::Token;

at::ScalarType generation_type(const family::ModelDirectory& model, at::Device device) {
  if (model.dtype() == checkpoint::DType::kF64) return at::kDouble;
  return model::fast_in_bfloat16(device) ? at::kBFloat16 : at::kFloat;
}

// The start of a document by the tokenizer, or by config.json where the tokenizer is none that can be read.
model::DocumentMarks document_marks(const family::ModelDirectory& model) {
  model::DocumentMarks marks;
  std::optional<tokenizer::Token> start;
  try {
    const auto tokenizer = tokenizer::open_tokenizer(model.path);
    start = tokenizer->document_start();
    marks.end = tokenizer->end_of_sequence();
  } catch (const UserError&) {
  }
  const auto configured = [&](const char* key) -> std::optional<tokenizer::Token> {
    const auto found = model.config_json.find(key);
    if (found == model.config_json.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<tokenizer::Token>();
  };
  if (!start) start = configured("bos_token_id");
  if (!marks.end) marks.end = configured("eos_token_id");
  if (!start) start = marks.end;  // models without a BOS see the end of one document before the next
  if (!start)
    throw UserError({.where = "--generate-calibration",
                     .what = "neither tokenizer nor config.json says which token a document starts with",
                     .remedy = "Set bos_token_id in config.json, or give text with --calibration"});
  marks.start = *start;
  return marks;
}

// Bytes of one row of the key/value cache.
std::int64_t cache_bytes(const family::ModelDirectory& model, std::int64_t length, at::ScalarType type) {
  return family::kv_bytes_per_token(model.config, static_cast<std::int64_t>(at::elementSize(type))) * length;
}

std::int64_t weight_bytes(const family::ModelDirectory& model, at::ScalarType type) {
  return model.parameters() * static_cast<std::int64_t>(at::elementSize(type));
}

// Decided by shapes alone: the text must not depend on what memory a machine has left. The cache is not
// larger than the weights, or than a gibibyte.
std::int64_t rows_at_a_time(const family::ModelDirectory& model, std::int64_t length, at::ScalarType type) {
  constexpr std::int64_t kSmall = std::int64_t{1} << 30, kMost = 128;
  const std::int64_t bytes = std::max(weight_bytes(model, type), kSmall);
  return std::clamp<std::int64_t>(bytes / cache_bytes(model, length, type), 1, kMost);
}

void require_memory(const family::ModelDirectory& model, const CalibrationOptions& options, at::Device device,
                    at::ScalarType type, std::int64_t rows, std::int64_t length) {
  std::uint64_t available = model::available_memory(device);
  if (options.memory && device.is_cpu()) available = std::min(available, *options.memory);
  const auto needed =
      static_cast<std::uint64_t>(weight_bytes(model, type) + rows * cache_bytes(model, length, type));
  if (needed <= available) return;
  throw UserError({.where = "--generate-calibration",
                   .what = "the whole model does not fit into memory to write text",
                   .expected = fmt::format("at most {}", human_bytes(static_cast<double>(available))),
                   .found = fmt::format("about {}", human_bytes(static_cast<double>(needed))),
                   .remedy = "Give text with --calibration: that takes one layer at a time"});
}

std::string_view type_name(at::ScalarType type) {
  return type == at::kBFloat16 ? "bf16" : type == at::kDouble ? "fp64" : "fp32";
}

}  // namespace

CalibrationTokens generate_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                       const std::string& device_name, std::uint64_t seed) {
  const std::int64_t length = calibration_window(model), windows = made_windows(options, length);
  const at::Device device = model::open_device(device_name);
  const at::ScalarType type = generation_type(model, device);
  const model::DocumentMarks marks = document_marks(model);
  const std::int64_t batch = std::min(windows, rows_at_a_time(model, length, type));
  require_memory(model, options, device, type, batch, length);
  const model::Decoder decoder(model.config, model::load_weights(model, type, device));
  Progress progress("the model writes its calibration text", static_cast<double>(windows * length), "tokens");
  CalibrationTokens text{
      .tokens_WT = at::empty({windows, length}, at::kLong),
      .held_out = held_out_of(windows),
      .origin = fmt::format("written by the source itself: sampled at temperature 1 in {}, seed {}",
                            type_name(type), seed)};
  auto* out = text.tokens_WT.mutable_data_ptr<std::int64_t>();
  for (std::int64_t first = 0; first < windows; first += batch) {
    std::vector<std::vector<Token>> rows(static_cast<std::size_t>(std::min(batch, windows - first)),
                                         {marks.start});
    model::generate_rows(decoder, rows, length, marks, {.temperature = 1, .seed = seed}, first,
                         [&](std::int64_t tokens) { progress.advance(static_cast<double>(tokens)); });
    for (const auto& row : rows) out = std::ranges::copy(row, out).out;
  }
  return text;
}

}  // namespace regroup::convert
