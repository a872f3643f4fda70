// A GGUF file, written from beginning to end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/hashed_file.h"
#include "core/gguf/format.h"

namespace regroup::gguf {

class Writer {
 public:
  // A new file (it must not exist) of which everything but the tensors' data is known.
  Writer(const std::filesystem::path& path, const Metadata& metadata, std::vector<TensorInfo> tensors);

  // The tensors' data one after the other, in pieces of any size.
  void append(std::span<const std::byte> data);

  // Checks that all data came, syncs, and reads the header again. Returns the file's SHA-256.
  std::string finish();

  std::uint64_t bytes() const { return file_.size(); }

 private:
  Writer(const std::filesystem::path& path, std::string header, std::vector<TensorInfo>&& tensors);
  void pad();

  std::string header_;
  std::vector<TensorInfo> tensors_;
  HashedWriter file_;
  std::uint64_t position_ = 0;  // in the data
  std::size_t next_ = 0;        // tensor
  std::uint64_t left_ = 0;      // bytes of the tensor before it
};

// Of the whole file.
std::uint64_t file_bytes(const Metadata& metadata, std::span<const TensorInfo> tensors);

}  // namespace regroup::gguf
