// Which tensor goes into which file: names and index as HF transformers writes them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/safetensors.h"

namespace regroup::checkpoint {

struct Shard {
  std::string file_name;            // "model.safetensors" or "model-00001-of-00003.safetensors"
  std::vector<TensorInfo> tensors;  // in writing order; offsets not yet set
};

// Fills shards in the given order and starts a new one where the next tensor would take it over `max_bytes`;
// a tensor larger than that is alone in its shard. Within a shard tensors are in the reference writer's
// order.
std::vector<Shard> shard_by_size(std::span<const TensorInfo> tensors, std::uint64_t max_bytes);

// "model-00001-of-00003.safetensors" of the first of three.
std::string shard_name(std::size_t index, std::size_t count);

// Renames shards to the hub's pattern for their number (one: kSingleFile).
void name_shards(std::vector<Shard>& shards);

// {"metadata": {"total_parameters": N, "total_size": B}, "weight_map": {…}}, keys sorted, as HF writes it.
std::string index_text(std::span<const Shard> shards);

}  // namespace regroup::checkpoint
