// The safetensors file format: 8 bytes little-endian header length N, N bytes of JSON, then the tensors'
// bytes.
//
//   { "__metadata__": {string: string}, NAME: {"dtype": "BF16", "shape": [..], "data_offsets": [begin, end]},
//   ... }
//
// The rules enforced here are those of the reference implementation (safetensors/src/tensor.rs): N <=
// 100,000,000, the header begins with '{' and may be padded with spaces, offsets start at 0 and follow each
// other without a hole or an overlap, end - begin is exactly what dtype and shape say, and the last tensor
// ends with the file. In addition repeated names are refused by name. Every violation is a UserError that
// names the file and the tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/hashed_file.h"
#include "core/checkpoint/tensor_file.h"

namespace regroup::checkpoint {

// The pure part of reading: `prefix` is the file's first 8 + N bytes (or fewer, if the file is cut off),
// `file_bytes` its size, `where` its name for messages.
FileHeader parse_safetensors_header(std::span<const std::byte> prefix, std::uint64_t file_bytes,
                                    const std::string& where);

// Header bytes (length, JSON, padding to a multiple of 8) for tensors laid out in the given order; fills
// their offsets.
std::string encode_safetensors_header(std::vector<TensorInfo>& tensors,
                                      const std::map<std::string, std::string>& metadata);

TensorFile open_safetensors(const std::filesystem::path& path);

// Writes the tensors' bytes in the order announced, any number of bytes a call.
class SafetensorsWriter {
 public:
  // Order of `tensors` is kept. The reference writer's order is sort_as_reference()'s business.
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                    const std::map<std::string, std::string>& metadata);
  void append(std::span<const std::byte> bytes) { file_.append(bytes); }
  std::uint64_t file_bytes() const { return file_.size(); }  // when all are written
  // Checks that all announced bytes came, syncs, and re-reads the header. Returns the file's SHA-256.
  std::string finish();

 private:
  FileHeader header_;
  HashedWriter file_;
};

// The order of the reference writer: dtypes from the last of the enumeration to the first (so that every
// tensor is aligned to its elements), then names.
void sort_as_reference(std::vector<TensorInfo>& tensors);

}  // namespace regroup::checkpoint
