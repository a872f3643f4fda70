#include "core/checkpoint/sharding.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/checkpoint/checkpoint.h"

namespace regroup::checkpoint {
namespace {

// What the tensor takes; its offsets are not set yet.
std::uint64_t bytes_of(const TensorInfo& tensor) {
  return static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype) / 8;
}

}  // namespace

std::vector<Shard> shard_by_size(std::span<const TensorInfo> tensors, std::uint64_t max_bytes) {
  std::vector<Shard> shards;
  Shard current;
  std::uint64_t current_bytes = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::uint64_t bytes = bytes_of(tensor);
    if (bytes > max_bytes) {
      // HF's numbering: the tensor's own shard comes before the one being filled, which stays open.
      shards.push_back({.file_name = "", .tensors = {tensor}});
      continue;
    }
    if (current_bytes + bytes > max_bytes) {
      shards.push_back(std::exchange(current, {}));
      current_bytes = 0;
    }
    current.tensors.push_back(tensor);
    current_bytes += bytes;
  }
  if (!current.tensors.empty() || shards.empty()) shards.push_back(std::move(current));
  for (Shard& shard : shards) sort_as_reference(shard.tensors);
  name_shards(shards);
  return shards;
}

std::string shard_name(std::size_t index, std::size_t count) {
  check(index < count && count <= 99'999, "a number of shards that the hub's names cannot hold");
  return fmt::format("model-{:05d}-of-{:05d}.safetensors", index + 1, count);
}

void name_shards(std::vector<Shard>& shards) {
  check(!shards.empty(), "there is always a file");
  if (shards.size() == 1) shards[0].file_name = kSingleFile;
  for (std::size_t i = 0; shards.size() > 1 && i < shards.size(); ++i)
    shards[i].file_name = shard_name(i, shards.size());
}

std::string index_text(std::span<const Shard> shards) {
  nlohmann::json weight_map = nlohmann::json::object();  // sorts its keys
  std::int64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const Shard& shard : shards)
    for (const TensorInfo& tensor : shard.tensors) {
      weight_map[tensor.name] = shard.file_name;
      elements += tensor.elements();
      bytes += bytes_of(tensor);
    }
  const nlohmann::json index = {{"metadata", {{"total_parameters", elements}, {"total_size", bytes}}},
                                {"weight_map", weight_map}};
  // Python's json.dumps escapes what is not ASCII.
  return index.dump(2, ' ', true) + "\n";
}

}  // namespace regroup::checkpoint
