#include "convert/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "convert/moved_weights.h"
#include "core/base/error.h"
#include "core/base/hashed_file.h"
#include "core/base/progress.h"
#include "core/model/device.h"
#include "core/model/stored.h"

namespace regroup::convert {
namespace {

using checkpoint::DType;
using checkpoint::TensorInfo;
using family::ModelDirectory;
using model::bytes_of;
using model::scalar_type;

constexpr std::uint64_t kChunkBytes = 256 << 10;  // a multiple of every element size

std::vector<TensorInfo> outputs(const PlannedShard& shard) {
  std::vector<TensorInfo> infos;
  for (const PlannedTensor& tensor : shard.tensors) infos.push_back(tensor.output);
  return infos;
}

// The source's files, each read once and hashed on the way. Tensors are wanted in the order they are stored
// in, or nearly: what lies behind is read again, and so is what lies in another order than it reads.
class SourceFiles {
 public:
  explicit SourceFiles(const ModelDirectory& model) : model_(model) {}

  void read(const checkpoint::StoredTensor& tensor, std::uint64_t offset, std::span<std::byte> out) {
    const auto& file = model_.checkpoint.files()[tensor.file];
    const std::uint64_t begin = file.header().data_begin + tensor.info->begin + offset;
    while (records_.size() < tensor.file) finish_file();
    if (records_.size() > tensor.file || begin < current().position() || !file.lies_in_order(*tensor.info)) {
      file.read(*tensor.info, offset, out);
      return;
    }
    current().skip(begin - current().position());
    current().read(out);
  }

  std::vector<FileRecord> finish() {
    while (records_.size() < model_.checkpoint.files().size()) finish_file();
    return std::move(records_);
  }

 private:
  HashedReader& current() {
    if (!reader_) reader_.emplace(model_.checkpoint.files()[records_.size()].path());
    return *reader_;
  }

  void finish_file() {
    const std::string hash = current().finish();
    records_.push_back(
        {model_.checkpoint.files()[records_.size()].path().filename().string(), reader_->size(), hash});
    reader_.reset();
  }

  const ModelDirectory& model_;
  std::optional<HashedReader> reader_;  // of the file after those in records_
  std::vector<FileRecord> records_;
};

class Executor {
 public:
  Executor(const ModelDirectory& model, const Plan& plan, MergedLayers& layers)
      : model_(model),
        source_(model),
        layers_(layers),
        moved_(model, plan, layers),
        progress_("converting", static_cast<double>(plan.output_bytes()), "B") {}

  FileRecord write_shard(const PlannedShard& shard, const std::filesystem::path& directory) {
    checkpoint::SafetensorsWriter writer(directory / shard.file_name, outputs(shard), shard.metadata);
    for (const PlannedTensor& tensor : shard.tensors) {
      if (tensor.action == Action::kMove)
        write_values(tensor, moved_.values(tensor.moved), writer);
      else if (tensor.action == Action::kMerge)
        write_values(tensor, layers_.merged(*tensor.source), writer);
      else
        write_streamed(tensor, writer);
      progress_.advance(static_cast<double>(tensor.output.bytes()));
    }
    return {shard.file_name, writer.file_bytes(), writer.finish()};
  }

  std::vector<FileRecord> finish_source() { return source_.finish(); }

 private:
  void write_values(const PlannedTensor& tensor, const at::Tensor& values,
                    checkpoint::SafetensorsWriter& writer) {
    const at::Tensor written = values.to(scalar_type(tensor.output.dtype)).contiguous();
    require_finite(tensor, bytes_of(written), tensor.output.dtype);
    writer.append(bytes_of(written));
  }

  // kCopy and kCast, in chunks that stay in a core's own cache.
  void write_streamed(const PlannedTensor& tensor, checkpoint::SafetensorsWriter& writer) {
    const TensorInfo& stored = *tensor.source->stored.info;
    for (std::uint64_t offset = 0; offset < stored.bytes(); offset += kChunkBytes) {
      const auto chunk = std::span(chunk_).first(std::min(kChunkBytes, stored.bytes() - offset));
      source_.read(tensor.source->stored, offset, chunk);
      require_finite(tensor, chunk, stored.dtype);
      writer.append(tensor.action == Action::kCopy ? chunk : bytes_of(cast(tensor, chunk)));
    }
  }

  at::Tensor cast(const PlannedTensor& tensor, std::span<std::byte> chunk) const {
    const DType from = tensor.source->stored.info->dtype;
    const auto elements = static_cast<std::int64_t>(chunk.size()) * 8 / checkpoint::dtype_bits(from);
    const at::Tensor values =
        at::from_blob(chunk.data(), {elements}, scalar_type(from)).to(scalar_type(tensor.output.dtype));
    require_finite(tensor, bytes_of(values), tensor.output.dtype);
    return values;
  }

  void require_finite(const PlannedTensor& tensor, std::span<const std::byte> bytes, DType dtype) const {
    if (tensor.source && tensor.source->part == family::Part::kUnused) return;
    if (checkpoint::all_finite(bytes, dtype)) return;
    if (!tensor.source)
      throw UserError({.where = tensor.output.name,
                       .what = fmt::format("does not fit {}", checkpoint::dtype_name(dtype)),
                       .remedy = "Choose a wider --dtype"});
    const bool overflow = dtype != tensor.source->stored.info->dtype;
    model::refuse_stored(
        model_, *tensor.source,
        overflow ? fmt::format("does not fit {}", checkpoint::dtype_name(dtype)) : "holds NaN or infinity");
  }

  const ModelDirectory& model_;
  SourceFiles source_;
  MergedLayers& layers_;
  MovedWeights moved_;
  Progress progress_;
  std::vector<std::byte> chunk_ = std::vector<std::byte>(kChunkBytes);
};

}  // namespace

Executed execute_plan(const ModelDirectory& model, const Plan& plan, MergedLayers& layers,
                      const std::filesystem::path& directory) {
  Executed executed;
  Executor executor(model, plan, layers);
  std::vector<checkpoint::Shard> shards;
  for (const PlannedShard& shard : plan.shards) {
    executed.output_files.push_back(executor.write_shard(shard, directory));
    shards.push_back({.file_name = shard.file_name, .tensors = outputs(shard)});
  }
  if (plan.indexed) write_text(directory / checkpoint::kIndexFile, checkpoint::index_text(shards));
  executed.source_files = executor.finish_source();
  return executed;
}

}  // namespace regroup::convert
