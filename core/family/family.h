// THE SEAM: a model family is a table. It says which `architectures` it serves, how its config.json reads,
// and which tensors a checkpoint of it holds: name, the part it plays, its shape in symbols, and when it is
// there.
//
// Adding a family is one file in core/families/: CMake finds it and lists it in the registry (registry.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "core/checkpoint/dtype.h"
#include "core/family/model_config.h"

namespace regroup::family {

// The role of a tensor in the decoder (model/decoder.h), independent of its name in a file.
enum class Part {
  kTokenEmbedding,
  kAttentionNorm,
  kQueryWeight,
  kQueryBias,
  kKeyWeight,
  kKeyBias,
  kValueWeight,
  kValueBias,
  kOutputWeight,
  kOutputBias,
  kMlpNorm,
  kGateWeight,
  kGateBias,
  kUpWeight,
  kUpBias,
  kDownWeight,
  kDownBias,
  kFinalNorm,
  kLmHead,
  kUnused,  // a buffer that real files carry and nothing reads: passed through
};

// Symbols of a shape. kAny accepts what is there (buffers).
enum class Dim { kVocab, kHidden, kQueryWidth, kKvWidth, kFfn, kAny };

enum class Presence {
  kAlways,
  kWithAttentionBias,
  kWithMlpBias,
  kUntied,  // required when embeddings are untied; a tied checkpoint may store its copy
  kOptional,
};

struct TensorRule {
  std::string_view name;  // "{}" stands for the layer
  Part part;
  std::span<const Dim> shape;
  Presence presence;
  bool per_layer() const { return name.find("{}") != std::string_view::npos; }
};

struct Family {
  std::string_view name;                            // "llama"
  std::string_view summary;                         // which models people know it by
  std::span<const std::string_view> architectures;  // of config.json
  std::span<const TensorRule> tensors;
  // Engines that load its checkpoints with fewer key/value heads as they are.
  std::span<const std::string_view> loaded_by;
  // Reads config.json; `where` names it in the UserErrors for missing, mistyped and unsupported values.
  ModelConfig (*read_config)(const Json& config, const std::string& where);
  // config.json of the same model with `kv_heads` heads; every other key keeps its value and place.
  Json (*with_kv_heads)(const Json& config, std::int64_t kv_heads);
};

// config.json of the same model with its weights stored as `dtype`, under the key it has for that: old and
// new readers look for different ones.
Json with_dtype(Json config, checkpoint::DType dtype);

// A tensor that a checkpoint of this configuration may or must hold.
struct ExpectedTensor {
  std::string name;
  Part part = Part::kUnused;
  std::int64_t layer = -1;          // -1: not in a layer
  std::vector<std::int64_t> shape;  // -1: any extent; empty: any shape
  bool required = true;
};

std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelConfig& config);

// All families, in the order of their names.
std::span<const Family* const> families();

// By `architectures`, never by a display name. UserError for an unknown one lists what is supported.
const Family& family_for(const Json& config, const std::string& where);

}  // namespace regroup::family
