// Opening a model: config.json, its family, and weights that belong to it, all checked before anything is
// done. A file of llama2.c is a model by itself, that of the Llama directory it would be.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.h"
#include "core/family/family.h"

namespace regroup::family {

struct ModelTensor {
  checkpoint::StoredTensor stored;
  Part part = Part::kUnused;  // the first one, where the layout holds several
  std::int64_t layer = -1;
  std::int64_t item = -1;     // the expert or head whose it is
  std::span<const Dim> dims;  // of its rule
  Layout layout = {};
};

// Whether a part is what a tensor holds, or one of several.
bool holds(const ModelTensor& tensor, Part part);

struct ModelDirectory {
  std::filesystem::path path;  // as it was named: a directory, or a file of llama2.c
  std::string config_text;     // config.json, to the byte; what it would be, where there is none
  Json config_json;
  const Family* family = nullptr;
  ModelConfig config;
  checkpoint::Checkpoint checkpoint;
  std::vector<ModelTensor> tensors;  // every stored tensor, in file order

  // The tensor that holds a part, the first one of several. Null where the model has no such part (a bias, a
  // tied head).
  const ModelTensor* find(Part part, std::int64_t layer = -1) const;
  std::int64_t parameters() const;  // without buffers, tied weights once
  checkpoint::DType dtype() const;  // of the weights: the one that most elements have
};

// A directory, or a file whose name ends in ".bin" (llama2c_file.h).
//
// Code of its own (auto_map) is not run, and left out of its configuration. UserError if the directory is no
// checkpoint of a known family; if it is quantized or an adapter; or if weights are missing, unclaimed, of
// the wrong shape or of a type we cannot compute in: those are reported together, by name.
ModelDirectory open_model(const std::filesystem::path& path);

}  // namespace regroup::family
