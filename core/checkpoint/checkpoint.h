// A directory of weights as one set of named tensors: model.safetensors, or the shards that
// model.safetensors.index.json names. Where both are there the single file is read, as transformers does.
//
// Opening checks what an engine trusts blindly: every shard that the index names exists and is whole, every
// tensor is in the shard that the index gives for it and nowhere else, and no shard holds a tensor that the
// index does not know. Other formats (pytorch_model.bin, GGUF, …) and adapters are refused by name. Reads no
// tensor data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/checkpoint/safetensors.h"

namespace regroup::checkpoint {

inline constexpr std::string_view kSingleFile = "model.safetensors";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// Tensor name -> file name: the weight_map of an index. UserError naming `where` unless it is one, or if a
// file is not a .safetensors file inside the directory.
std::map<std::string, std::string> parse_index(std::string_view text, const std::string& where);

struct StoredTensor {
  const TensorInfo* info = nullptr;
  std::size_t file = 0;  // index into files()
};

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }
  const std::vector<SafetensorsReader>& files() const { return files_; }  // in the order of their names
  bool sharded() const { return sharded_; }
  std::uint64_t data_bytes() const;  // of all tensors

  // Null if there is none.
  const StoredTensor* find(std::string_view name) const;
  void read(const StoredTensor& tensor, std::span<std::byte> out) const;  // the whole tensor

 private:
  void open_shards();

  std::filesystem::path directory_;
  std::vector<SafetensorsReader> files_;
  bool sharded_ = false;
  std::unordered_map<std::string_view, StoredTensor> tensors_;  // names live in files_' headers
};

}  // namespace regroup::checkpoint
