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

namespace regroup::convert {

struct PlanOptions {
  std::int64_t kv_heads = 0;
  std::string method = "mean";
  std::optional<checkpoint::DType> dtype;       // of the written weights; none: each as it is stored
  std::optional<std::uint64_t> max_shard_size;  // bytes; none: files as the source has them
};

enum class Action {
  kCopy,   // the stored bytes, untouched
  kCast,   // the same values in another type
  kMerge,  // a key or value projection: its heads are merged
};

struct PlannedTensor {
  checkpoint::TensorInfo output;  // name, type and shape as it will be written
  const family::ModelTensor* source = nullptr;
  Action action = Action::kCopy;
};

struct PlannedShard {
  std::string file_name;
  std::map<std::string, std::string> metadata;
  std::vector<PlannedTensor> tensors;  // in writing order
};

struct Plan {
  PlanOptions options;
  family::ModelConfig config;  // of the result
  Json config_json;            // of the result
  std::vector<PlannedShard> shards;
  bool indexed = false;  // writes model.safetensors.index.json
  std::vector<std::filesystem::path> carried;

  std::uint64_t output_bytes() const;  // of all tensors
  std::int64_t count(Action action) const;
};

// Pure. `model` must outlive the plan. UserError when kv_heads does not divide the source's key/value heads
// (says which counts do).
Plan make_plan(const family::ModelDirectory& model, const PlanOptions& options);

// For people: what changes, sizes, key/value cache before and after.
std::string plan_text(const family::ModelDirectory& model, const Plan& plan);

}  // namespace regroup::convert
