// What a conversion will do, decided from config.json and the tensors' headers alone: no weight is read. A
// plan can be printed (--plan), tested, and executed (execute.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/sharding.h"
#include "core/family/model_directory.h"
#include "core/family/target.h"
#include "core/model/companions.h"

namespace regroup::convert {

// What a merge goes by.
enum class Evidence {
  kWeights,  // alone
  kDrawn,    // what the source makes of tokens drawn at random (drawn_calibration.cc)
  kOwnText,  // of text that the source writes itself
  kText,     // of text that is given
};

// As plans and records say it.
std::string_view evidence_name(Evidence evidence);

// The tokens that a conversion may look at; kDrawn unless something else is asked for.
struct CalibrationOptions {
  std::vector<std::filesystem::path> files;  // text or token shards
  bool generate = false;                     // in place of files: text that the model writes itself
  bool weights_only = false;                 // no tokens at all
  std::string format = "auto";
  bool document_start = true;
  std::int64_t tokens = 0;  // 0: kCalibrationTokens
  // Weight of the first position of a window in statistics and errors: 1 counts it like every other, 0 leaves
  // it out. Trained models often keep an attention sink there.
  double first_position_weight = 1;
  std::optional<std::uint64_t> memory;  // bytes to stay within; none: most of what the machine has left
  std::filesystem::path scratch;        // for hidden states that do not; empty: TMPDIR
};

inline constexpr std::int64_t kCalibrationTokens = 65536;

// UserError for options that exclude each other.
Evidence asked_evidence(const CalibrationOptions& options);

struct PlanOptions {
  std::int64_t kv_heads = 0;
  std::string method;    // a row of merge_methods(); empty: the best there is
  std::string grouping;  // "contiguous", "cost", or a JSON file of groups; empty: the method's own choice
  double grouping_seconds = 120;           // for the costs of groups, all layers together
  Evidence evidence = Evidence::kWeights;  // kDrawn becomes kWeights where nothing depends on it
  std::string refit;  // names in order, or "none"; empty: the best, none for weights alone
  std::optional<checkpoint::DType> dtype;       // of the written weights; none: each as it is stored
  std::optional<std::uint64_t> max_shard_size;  // bytes; none: files as the source has them
  std::string target = "auto";                  // the architecture of the result (family/target.h)
};

enum class Action {
  kCopy,   // the stored bytes, untouched
  kCast,   // the same values in another type
  kMerge,  // a projection of attention: heads are merged, turned or put in order
  kMove,   // a tensor of another architecture, made of the source's
};

struct PlannedTensor {
  checkpoint::TensorInfo output;                // name, type and shape as it will be written
  const family::ModelTensor* source = nullptr;  // null: moved
  Action action = Action::kCopy;
  family::ModelTensor moved = {};  // kMove: what it is in the result's table
};

struct PlannedShard {
  std::string file_name;
  std::map<std::string, std::string> metadata;
  std::vector<PlannedTensor> tensors;  // in writing order
};

struct Plan {
  PlanOptions options;  // method, grouping, evidence and refit resolved
  family::Target target;
  family::ModelConfig config;  // of the result
  Json config_json;            // of the result
  bool merges = false;         // heads; else it has as many as the source
  std::vector<PlannedShard> shards;
  bool indexed = false;  // writes model.safetensors.index.json
  std::vector<model::Companion> carried;

  std::uint64_t output_bytes() const;  // of all tensors
  std::int64_t count(Action action) const;
};

// Pure. `model` must outlive the plan. UserError when kv_heads does not divide the source's key/value heads
// (says which counts do).
Plan make_plan(const family::ModelDirectory& model, const PlanOptions& options);

// For people: what changes, sizes, key/value cache before and after.
std::string plan_text(const family::ModelDirectory& model, const Plan& plan);

}  // namespace regroup::convert
