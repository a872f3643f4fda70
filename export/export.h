// A model directory as one GGUF file, which llama.cpp and what is built on it run.
//
// Converted checkpoints and originals alike: what is written follows from ModelConfig and from the parts that
// the model holds. Only one tensor is in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::exporting {

struct ExportOptions {
  std::filesystem::path model;   // directory with weights and tokenizer
  std::filesystem::path output;  // the .gguf to write
  std::string dtype;             // a name of weight_types(); empty: what the model is stored in
  bool overwrite = false;
};

struct Exported {
  std::string architecture, dtype;  // as llama.cpp calls the graph; as --dtype calls the type
  std::int64_t tensors = 0;
  std::vector<std::string> approximations;  // what llama.cpp computes a little differently (were logged, too)
  std::filesystem::path record;
};

// Writes the file, and beside it OUT.json: the source's and the file's SHA-256, `resolved` options, version.
// Each appears whole or not at all. UserError before any work if llama.cpp has no graph for the model or if
// an output exists and `overwrite` is false.
Exported export_gguf(const ExportOptions& options, const Json& resolved);

// The types and the architectures, for --help.
std::string dtype_help();
std::string architecture_help();

}  // namespace regroup::exporting
