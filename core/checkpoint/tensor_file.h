// A file of named tensors, whatever its format: each one's elements lie somewhere in the file, one after the
// other in the order of its shape, so that it can be copied, hashed and read as a range of bytes. Tensors of
// paired rows are the exception: read() puts their rows in order.
//
// A format is a function that reads what a file says about its tensors and returns a TensorFile
// (open_safetensors, open_torch_file); everything else is here, and knows no format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/checkpoint/dtype.h"

namespace regroup::checkpoint {

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // within the data section

  std::uint64_t bytes() const { return end - begin; }
  std::int64_t elements() const;
  bool operator==(const TensorInfo&) const = default;
};

// "[4096, 4096]"
std::string shape_text(std::span<const std::int64_t> shape);

// What a tensor takes, in bits; none if that is more than can be counted. `shape` has no negative size.
std::optional<std::uint64_t> bits_of(DType dtype, std::span<const std::int64_t> shape);

struct FileHeader {
  // In the order of a safetensors file: the one that it has, or the one in which it would be written.
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;  // that a safetensors file of these tensors carries
  std::uint64_t data_begin = 0;                 // of the data section, in the file
  // Tensors whose rows lie in pairs: name -> R, the even number of rows of a head. Rows j and j + R/2 of each
  // head lie side by side, as its rows 2j and 2j + 1.
  std::map<std::string, std::int64_t> paired_rows = {};
  bool operator==(const FileHeader&) const = default;
};

// Reads with pread: opening a file of any size touches what describes its tensors only, and reading a tensor
// leaves no mapping behind.
class TensorFile {
 public:
  TensorFile(File file, FileHeader header) : file_(std::move(file)), header_(std::move(header)) {}
  const FileHeader& header() const { return header_; }
  const std::filesystem::path& path() const { return file_.path(); }
  // Whether a tensor lies in the file as it is read, byte for byte.
  bool lies_in_order(const TensorInfo& tensor) const { return !header_.paired_rows.contains(tensor.name); }
  // `out.size()` bytes of `tensor` from its byte `offset` on.
  void read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;

 private:
  void read_paired(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;

  File file_;
  FileHeader header_;
};

inline constexpr const char* kCutOff = "Was the download cut off?";

// UserError if a file that begins with these bytes is Git LFS's stand-in for itself, as in a clone without
// LFS.
void refuse_lfs_pointer(std::span<const std::byte> prefix, const std::string& where);
inline constexpr std::size_t kLfsPrefix = 23;  // so many bytes tell

}  // namespace regroup::checkpoint
