// Which of llama.cpp's graphs runs a model, and what such a graph computes: a table, one row for each.
//
// A row says what the graph does in the terms of ModelConfig. A model that differs in anything is refused
// with what differs, or, where the graph comes close, written with a word about it.
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

// The ways in which a layer's halves meet that a graph can follow: a sum of these.
namespace blocks {
inline constexpr unsigned kSequential = 1, kParallel = 2, kParallelSharedNorm = 4, kPostNorm = 8;
}

// Where the output projection comes from.
enum class Head {
  kEither,  // a tensor of its own if there is one, else the embedding
  kOwn,     // always a tensor of its own: a tied embedding is written twice
  kTied,    // always the embedding
};

// A graph of llama.cpp (src/models/NAME.cpp).
struct Architecture {
  std::string_view name;                       // general.architecture
  std::span<const std::string_view> families;  // whose models it runs
  family::Norm norm = family::Norm::kRms;
  unsigned blocks = blocks::kSequential;
  family::Positions positions = family::Positions::kRotary;
  bool gated_mlp = true;
  family::Activation activation = family::Activation::kSilu;
  Head head = Head::kEither;
  // Where the two numbers of a rotary pair are in a head: side by side (llama.cpp's ROPE_TYPE_NORM), or half
  // the rotary width apart (ROPE_TYPE_NEOX) as our parts have them.
  bool pairs_side_by_side = false;
  bool partial_rotary = false;        // a head may be turned in part
  bool frequency_factors = false;     // rotary frequencies may be divided one by one (llama3, longrope)
  bool any_query_width = false;       // heads · head_dim need not be the hidden width
  bool embedding_times_root = false;  // embeddings are multiplied by the root of hidden
  bool scales_logits = false, clips = false;
  family::QkNorm qk_norm = family::QkNorm::kNone;  // what it can normalize queries and keys by
  std::int64_t qk_norm_layers = 0;  // … if there are this many layers, and then always; 0: any
  bool fused_qkv = false, fused_gate_up = false;  // one tensor for what we have as several parts
  std::span<const Part> takes;  // parts that it reads if they are there, besides those every decoder has
  std::span<const Part> needs;  // vectors that it demands: zeros where the model has none
};

std::span<const Architecture> architectures();

// UserError that says why if llama.cpp cannot run the model.
const Architecture& architecture_for(const family::ModelDirectory& model);

// Everything about the model that is no tensor and no tokenizer: general.*, and the architecture's own keys.
gguf::Metadata model_metadata(const Architecture& architecture, const family::ModelDirectory& model);

}  // namespace regroup::exporting
