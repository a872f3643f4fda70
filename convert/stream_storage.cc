#include "convert/stream_storage.h"

#include <fmt/format.h>

#include <algorithm>

#include "convert/source_stream.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/units.h"
#include "core/model/scratch_tensor.h"

namespace regroup::convert {

namespace fs = std::filesystem;

std::uint64_t layer_bytes(const family::ModelConfig& config, std::int64_t element) {
  const auto count = [](std::int64_t rows, std::int64_t columns) {
    return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns);
  };
  const std::uint64_t projections =
      2 * count(config.hidden, config.query_width()) + 2 * count(config.hidden, config.kv_width());
  const family::Experts& experts = config.experts;
  const std::uint64_t feed_forward =
      3 * std::max(count(config.hidden, config.ffn), count(experts.count, count(config.hidden, experts.ffn)) +
                                                         count(config.hidden, experts.shared_ffn));
  const std::uint64_t statistics =
      2 * count(config.hidden, config.hidden) + 2 * count(config.query_width(), config.query_width());
  const auto bytes = static_cast<std::uint64_t>(element);
  return std::max(bytes * (6 * projections + feed_forward) + 8 * statistics,
                  bytes * count(config.vocab_size, config.hidden));
}

StreamStorage::StreamStorage(const family::ModelDirectory& model, const at::Tensor& tokens_WT,
                             std::int64_t count, const CalibrationOptions& options)
    : shape_{tokens_WT.size(0), tokens_WT.size(1), model.config.hidden}, type_(arithmetic_of(model)) {
  const std::uint64_t bytes =
      static_cast<std::uint64_t>(count * c10::multiply_integers(shape_)) * at::elementSize(type_);
  const std::uint64_t budget = options.memory.value_or(available_host_memory() / 10 * 9);
  if (bytes + layer_bytes(model.config, static_cast<std::int64_t>(at::elementSize(type_))) <= budget) return;
  directory_ = options.scratch.empty() ? fs::temp_directory_path() : options.scratch;
  log_info(fmt::format("hidden states of {} do not fit beside a layer: they are kept on the disk of {}",
                       human_bytes(static_cast<double>(bytes)), directory_->string()));
}

at::Tensor StreamStorage::make() const {
  return model::scratch_tensor(shape_, type_, directory_);
}

}  // namespace regroup::convert
