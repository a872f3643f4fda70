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

// The role of a tensor in the decoder (model/decoder.h), independent of its name and arrangement in a file.
enum class Part {
  kTokenEmbedding,
  kPositionEmbedding,
  kEmbeddingNorm,
  kEmbeddingNormBias,
  kAttentionNorm,
  kAttentionNormBias,
  kQueryWeight,
  kQueryBias,
  kKeyWeight,
  kKeyBias,
  kValueWeight,
  kValueBias,
  kQueryNorm,
  kQueryNormBias,
  kKeyNorm,
  kKeyNormBias,
  kOutputWeight,
  kOutputBias,
  kMlpNorm,
  kMlpNormBias,
  kGateWeight,
  kGateBias,
  kUpWeight,
  kUpBias,
  kDownWeight,
  kDownBias,
  kRouter,
  kExpertGate,
  kExpertUp,
  kExpertDown,
  kSharedRouter,
  kSharedGate,
  kSharedUp,
  kSharedDown,
  kFinalNorm,
  kFinalNormBias,
  kLmHead,
  kLmHeadBias,
  kUnused,  // a buffer that real files carry and nothing reads: passed through
};

// Symbols of a shape. kAny accepts what is there (buffers).
enum class Dim {
  kVocab,
  kPositions,
  kHidden,
  kHeads,
  kKvHeads,
  kHeadDim,
  kQueryWidth,
  kKvWidth,
  kQkvWidth,
  kFfn,
  kTwoFfn,
  kExperts,
  kExpertFfn,
  kSharedFfn,
  kOne,
  kAny,
};

enum class Presence {
  kAlways,
  kWithAttentionBias,
  kWithOutputBias,
  kWithMlpBias,
  kWithHeadBias,
  kWithNormWeight,
  kWithNormBias,
  kWithOneNorm,      // a norm, unless the halves of a parallel layer have one each
  kWithTwoNorms,     // a norm, where they do
  kWithSequence,     // in layers whose halves follow each other
  kWithMlpNorm,      // where the halves of a layer have norms of their own
  kWithMlpNormBias,  // the same, and norms have biases
  kWithQkNorm,
  kWithExperts,     // in layers that have experts
  kWithoutExperts,  // in the others
  kUntied,          // required when embeddings are untied; a tied checkpoint may store its copy
  kOptional,
};

// Several parts in one tensor, by rows. Each becomes plain parts when it is read.
enum class Fusion {
  kNone,
  kQueryKeyValue,  // all query rows, then key rows, then value rows
  kGroups,         // per key/value head: the rows of its query heads, its key's, its value's
  kCodeGen,        // four blocks, each with a fourth of the query, the value and the key rows, in this order
  kGateUp,         // gate rows, then up rows
};

// How a stored tensor is arranged, relative to the parts it holds: [out, in] weights, rotary pairs
// half-split.
struct Layout {
  Fusion fusion = Fusion::kNone;  // `part` of the rule is then the first of its parts
  bool transposed = false;        // stored [in, out]
  bool interleaved = false;       // the numbers of a rotary pair lie side by side: (2j, 2j + 1)
};

struct TensorRule {
  std::string_view name;  // the first "{}" stands for the layer, a second for the expert or head
  Part part;
  std::span<const Dim> shape;
  Presence presence;
  Layout layout = {};
  bool per_layer() const { return name.find("{}") != std::string_view::npos; }
  bool per_item() const { return per_layer() && name.rfind("{}") != name.find("{}"); }
};

// A model that people have: what its config.json says of its arithmetic.
struct Example {
  std::string_view name, config;
};

struct Family {
  std::string_view name;                            // "llama"
  std::string_view summary;                         // which models people know it by
  std::span<const Example> examples;                // at least one
  std::span<const std::string_view> architectures;  // of config.json
  std::span<const TensorRule> tensors;
  // What names of tensors may lack at their beginning: files on the hub were often saved from the inner
  // model.
  std::string_view optional_prefix = "";
  // Engines that load its checkpoints with fewer key/value heads as they are; none: no engine does, and a
  // converted one carries an architecture of its own (own_architecture()).
  std::span<const std::string_view> loaded_by;
  // Whether those engines hold `kv_heads` heads in the architecture of this config.json; null: any number.
  bool (*holds)(const Json& config, std::int64_t kv_heads) = nullptr;
  // Reads config.json; `where` names it in the UserErrors for missing, mistyped and unsupported values.
  ModelConfig (*read_config)(const Json& config, const std::string& where);
  // config.json of the same model with `kv_heads` heads; every other key keeps its value and place. Null: its
  // table holds no other number than it has.
  Json (*with_kv_heads)(const Json& config, std::int64_t kv_heads);
};

// config.json of the same model with its weights stored as `dtype`, under the key it has for that: old and
// new readers look for different ones.
Json with_dtype(Json config, checkpoint::DType dtype);

// A tensor that a checkpoint of this configuration may or must hold.
struct ExpectedTensor {
  std::string name;
  Part part = Part::kUnused;
  std::int64_t layer = -1;  // -1: not in a layer
  std::int64_t item = -1;   // the expert or head, -1: none
  std::span<const Dim> dims;
  std::vector<std::int64_t> shape;  // -1: any extent; empty: any shape
  bool required = true;
  Layout layout = {};
};

std::vector<std::int64_t> shape_of(std::span<const Dim> dims, const ModelConfig& config);

std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelConfig& config);

// All families, in the order of their names.
std::span<const Family* const> families();

const Family& family_named(std::string_view name);  // it must be there

// By `architectures`, never by a display name; null for none that is known.
const Family* known_family(const Json& config);
// UserError for an unknown one lists what is supported.
const Family& family_for(const Json& config, const std::string& where);

}  // namespace regroup::family
