#include "convert/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/data/token_stream.h"
#include "core/data/windows.h"

namespace regroup::convert {
namespace {

data::TokenStream read_stream(const family::ModelDirectory& model, const CalibrationOptions& options) {
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  if (data::needs_tokenizer(options.files, options.format)) tokenizer = tokenizer::open_tokenizer(model.path);
  return data::read_tokens(options.files, tokenizer.get(),
                           {.format = options.format,
                            .document_start = options.document_start,
                            .vocab_size = model.config.vocab_size});
}

}  // namespace

at::Tensor CalibrationTokens::learned(const at::Tensor& values_B, std::int64_t begin) const {
  return values_B.narrow(0, 0, std::clamp(training() - begin, std::int64_t{0}, values_B.size(0)));
}

std::int64_t windows_at_a_time(std::int64_t length) {
  constexpr std::int64_t kTokens = 2048;
  return std::max(std::int64_t{1}, kTokens / length);
}

void for_each_batch(std::int64_t begin, std::int64_t end, std::int64_t length,
                    const std::function<void(std::int64_t first, std::int64_t count)>& take) {
  const std::int64_t most = windows_at_a_time(length);
  for (std::int64_t first = begin; first < end; first += most) take(first, std::min(most, end - first));
}

std::int64_t calibration_window(const family::ModelDirectory& model) {
  constexpr std::int64_t kWindow = 512;
  return std::min(kWindow, model.config.max_positions);
}

std::int64_t asked_windows(const CalibrationOptions& options, std::int64_t length) {
  return (options.tokens > 0 ? options.tokens : kCalibrationTokens) / length;
}

std::int64_t made_windows(const CalibrationOptions& options, std::int64_t length) {
  const std::int64_t windows = asked_windows(options, length);
  const auto most = static_cast<std::int64_t>(available_host_memory() / sizeof(std::int64_t));
  if (options.tokens > most)
    throw UserError({.where = "--calibration-tokens",
                     .what = "more than memory can hold",
                     .expected = fmt::format("at most {}", most),
                     .found = std::to_string(options.tokens)});
  if (windows < 2)
    throw UserError({.where = "--calibration-tokens",
                     .what = "too few",
                     .expected = fmt::format("at least {}", 2 * length),
                     .found = std::to_string(options.tokens)});
  return windows;
}

std::int64_t held_out_of(std::int64_t windows) {
  return std::max<std::int64_t>(1, windows / 10);
}

CalibrationTokens read_calibration(const family::ModelDirectory& model, const CalibrationOptions& options,
                                   std::uint64_t seed) {
  const data::TokenStream stream = read_stream(model, options);
  const std::int64_t length = calibration_window(model);
  const std::int64_t available = (std::ssize(stream.tokens) - length) / length;
  const std::int64_t asked = asked_windows(options, length);
  const std::int64_t windows = std::min(asked, available);
  if (windows < 2)
    throw UserError({.where = list_some(stream.sources),
                     .what = "too little text to calibrate with",
                     .expected = fmt::format("{} tokens or more", 3 * length),
                     .found = fmt::format("{}", stream.tokens.size())});
  if (windows < asked)
    log_info(fmt::format("the calibration text makes {} windows of {} tokens; {} were asked for", windows,
                         length, asked));
  CalibrationTokens text{.tokens_WT = at::empty({windows, length}, at::kLong),
                         .held_out = held_out_of(windows),
                         .origin = stream.convention};
  const data::ShuffledWindows order(std::ssize(stream.tokens), length, seed);
  auto* out = text.tokens_WT.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < windows; ++i)
    out = std::copy_n(stream.tokens.begin() + order.at(i).begin, length, out);
  return text;
}

}  // namespace regroup::convert
