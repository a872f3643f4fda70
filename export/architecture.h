// Which of llama.cpp's graphs runs a model, and what such a graph reads: a table, one row for each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/family/model_directory.h"
#include "core/gguf/format.h"

namespace regroup::exporting {

using family::ModelConfig;
using family::Part;

// A graph of llama.cpp (src/models/NAME.cpp). Its tensors have the names that all graphs share (tensors.cc).
struct Architecture {
  std::string_view name;                       // general.architecture
  std::span<const std::string_view> families;  // whose models it runs
  // Where the two numbers of a rotary pair are in a head: side by side (llama.cpp's ROPE_TYPE_NORM), or half
  // the rotary width apart (ROPE_TYPE_NEOX) as our parts have them.
  bool pairs_side_by_side = false;
  // Parts that it reads if a model has them, besides those that every decoder has. A model with any other
  // part is refused: llama.cpp would not load it.
  std::span<const Part> optional_parts;
  // What its graph does otherwise than such a model, in words; empty if it computes the same.
  std::vector<std::string> (*differences)(const ModelConfig& config) = nullptr;
};

std::span<const Architecture> architectures();

// UserError that says why if llama.cpp cannot run the model.
const Architecture& architecture_for(const family::ModelDirectory& model);

// Everything about the model that is no tensor and no tokenizer: general.*, and the architecture's own keys.
gguf::Metadata model_metadata(const Architecture& architecture, const family::ModelDirectory& model);

}  // namespace regroup::exporting
