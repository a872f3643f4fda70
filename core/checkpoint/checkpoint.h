// A directory of weights as one set of named tensors: model.safetensors, the shards that
// model.safetensors.index.json names, pytorch_model.bin, or the shards that pytorch_model.bin.index.json
// names. Where several are there the first of these is read, as transformers does.
//
// Opening checks what an engine trusts blindly: every shard that the index names exists and is whole, every
// tensor is in the shard that the index gives for it and nowhere else, and no shard holds a tensor that the
// index does not know. Other formats (GGUF, TensorFlow, …) and adapters are refused by name. Reads no tensor
// data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/checkpoint/tensor_file.h"

namespace regroup::checkpoint {

inline constexpr std::string_view kSingleFile = "model.safetensors";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// Tensor name -> file name: the weight_map of an index. UserError naming `where` unless it is one, or if a
// file is not one inside the directory whose name ends as given.
std::map<std::string, std::string> parse_index(std::string_view text, const std::string& where,
                                               std::string_view extension = ".safetensors");

struct StoredTensor {
  const TensorInfo* info = nullptr;
  std::size_t file = 0;  // index into files()
};

struct Format;

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& directory);
  // Of one file, whatever it is called, that the caller has opened and checked.
  static Checkpoint of_file(TensorFile file);

  const std::filesystem::path& directory() const { return directory_; }
  const std::vector<TensorFile>& files() const { return files_; }  // in the order of their names
  bool sharded() const { return sharded_; }
  // What files()[file] is called when its tensors are written as safetensors: as it is called if it is one,
  // else by the hub's pattern.
  std::string safetensors_name(std::size_t file) const;
  std::uint64_t data_bytes() const;  // of all tensors

  // Null if there is none.
  const StoredTensor* find(std::string_view name) const;
  void read(const StoredTensor& tensor, std::span<std::byte> out) const;  // the whole tensor

 private:
  void open_shards(const Format& format);
  void list_tensors();

  std::filesystem::path directory_;
  std::vector<TensorFile> files_;
  const Format* format_ = nullptr;  // null: none of those that a directory holds
  bool sharded_ = false;
  std::unordered_map<std::string_view, StoredTensor> tensors_;  // names live in files_' headers
};

}  // namespace regroup::checkpoint
