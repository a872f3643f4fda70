// Carries a plan out: streams the weights from one directory into another.
//
// What is not merged passes through in chunks; of what is merged, one layer's heads are in memory at a time.
// So resident memory is bounded by the largest layer's key and value projections, not by the model. The
// source files are hashed by a second thread that reads ahead of the copy, the written ones as they are
// written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "convert/merged_layers.h"
#include "convert/plan.h"

namespace regroup::convert {

struct FileRecord {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct Executed {
  std::vector<FileRecord> source_files, output_files;  // weights
};

// Writes the weights, and their index if the plan has one, into `directory`. UserError naming the tensor that
// holds a NaN or an infinity, or that does not fit the type it is converted to.
Executed execute_plan(const family::ModelDirectory& model, const Plan& plan, MergedLayers& layers,
                      const std::filesystem::path& directory);

}  // namespace regroup::convert
