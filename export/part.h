// One part of a model, read as the decoder has it whatever its arrangement in the file (family/layout.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/family/model_directory.h"

namespace regroup::exporting {

// [out, in] for matrices, [n] for vectors; norms of queries and keys may have a row for each head.
std::vector<std::int64_t> part_shape(const family::ModelDirectory& model, family::Part part,
                                     std::int64_t layer);

// The numbers of a part, as stored, row by row; those of vectors and of norms are rows of one. Memory: what
// the file has them in, fused parts included.
class PartReader {
 public:
  PartReader(const family::ModelDirectory& model, family::Part part, std::int64_t layer);

  const std::string& name() const { return name_; }  // in the file
  std::int64_t rows() const { return static_cast<std::int64_t>(stored_rows_.size()); }
  std::int64_t columns() const { return columns_; }
  void read_row(std::int64_t row, std::span<float> out) const;

 private:
  void read(const family::ModelDirectory& model, const family::ModelTensor& tensor, family::Part part);

  std::string name_;
  checkpoint::DType dtype_ = checkpoint::DType::kF32;
  std::int64_t columns_ = 1;
  std::vector<std::byte> bytes_;
  std::vector<std::int64_t> stored_rows_;  // where each row lies
};

}  // namespace regroup::exporting
