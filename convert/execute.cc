#include "convert/execute.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "convert/layer_heads.h"
#include "core/base/error.h"
#include "core/base/hash.h"
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

constexpr std::uint64_t kChunkBytes = 8 << 20;  // a multiple of every element size

class Executor {
 public:
  Executor(const ModelDirectory& model, const Plan& plan, std::uint64_t seed)
      : model_(model),
        heads_(model, merge_method(plan.options.method), plan.options.kv_heads, seed),
        progress_("converting", static_cast<double>(model.checkpoint.data_bytes()), "B") {}

  std::string write_shard(const PlannedShard& shard, const std::filesystem::path& path) {
    std::vector<TensorInfo> infos;
    for (const PlannedTensor& tensor : shard.tensors) infos.push_back(tensor.output);
    checkpoint::SafetensorsWriter writer(path, infos, shard.metadata);
    for (const PlannedTensor& tensor : shard.tensors) {
      if (tensor.action == Action::kMerge)
        write_merged(tensor, writer);
      else
        write_streamed(tensor, writer);
      progress_.advance(static_cast<double>(tensor.source->stored.info->bytes()));
    }
    return writer.finish();
  }

 private:
  void write_merged(const PlannedTensor& tensor, checkpoint::SafetensorsWriter& writer) {
    const at::Tensor merged = heads_.merged(*tensor.source).to(scalar_type(tensor.output.dtype)).contiguous();
    require_finite(tensor, bytes_of(merged), tensor.output.dtype);
    writer.append(bytes_of(merged));
  }

  // kCopy and kCast: chunk by chunk, so that the largest embedding needs no more memory than the smallest
  // bias.
  void write_streamed(const PlannedTensor& tensor, checkpoint::SafetensorsWriter& writer) {
    const TensorInfo& stored = *tensor.source->stored.info;
    const auto& file = model_.checkpoint.files()[tensor.source->stored.file];
    std::vector<std::byte> chunk;
    for (std::uint64_t offset = 0; offset < stored.bytes(); offset += kChunkBytes) {
      chunk.resize(std::min(kChunkBytes, stored.bytes() - offset));
      file.read(stored, offset, chunk);
      require_finite(tensor, chunk, stored.dtype);
      if (tensor.action == Action::kCopy)
        chunk = writer.exchange(std::move(chunk));
      else
        writer.append(bytes_of(cast(tensor, chunk)));
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
    if (tensor.source->part == family::Part::kUnused || checkpoint::all_finite(bytes, dtype)) return;
    const bool overflow = dtype != tensor.source->stored.info->dtype;
    model::refuse_stored(
        model_, *tensor.source,
        overflow ? fmt::format("does not fit {}", checkpoint::dtype_name(dtype)) : "holds NaN or infinity");
  }

  const ModelDirectory& model_;
  LayerHeads heads_;
  Progress progress_;
};

}  // namespace

Executed execute_plan(const ModelDirectory& model, const Plan& plan, std::uint64_t seed,
                      const std::filesystem::path& directory) {
  // One thread for all files, in order: it stays close ahead of the copy and so brings each byte from the
  // disk once.
  std::future<std::vector<FileRecord>> source_hashes = std::async(std::launch::async, [&] {
    std::vector<FileRecord> records;
    for (const auto& file : model.checkpoint.files())
      records.push_back({file.path().filename().string(), std::filesystem::file_size(file.path()),
                         sha256_of_file(file.path())});
    return records;
  });
  Executed executed;
  Executor executor(model, plan, seed);
  std::vector<checkpoint::Shard> shards;
  for (const PlannedShard& shard : plan.shards) {
    const std::filesystem::path path = directory / shard.file_name;
    const std::string hash = executor.write_shard(shard, path);
    executed.output_files.push_back({shard.file_name, std::filesystem::file_size(path), hash});
    auto& listed = shards.emplace_back(checkpoint::Shard{.file_name = shard.file_name, .tensors = {}});
    for (const PlannedTensor& tensor : shard.tensors) listed.tensors.push_back(tensor.output);
  }
  if (plan.indexed) write_text(directory / checkpoint::kIndexFile, checkpoint::index_text(shards));
  executed.source_files = source_hashes.get();
  return executed;
}

}  // namespace regroup::convert
