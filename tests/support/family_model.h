// Small checkpoints of any family with other weights than they came with: for laws that hold whatever the
// layout of the files.
//
// Shapes: K key/value heads, H query heads, D head_dim.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/checkpoint/dtype.h"
#include "core/model/weights.h"

namespace regroup::testing {

// The checkpoints in tests/goldens/families, by name, sorted.
std::vector<std::string> family_goldens();
std::filesystem::path family_golden(const std::string& name);

// A checkpoint like `model` in `directory`, one file, its weights taken from `weights` and stored as `dtype`.
void write_like(const family::ModelDirectory& model, const model::Weights& weights, checkpoint::DType dtype,
                const std::filesystem::path& directory);

// What leaves a model of this configuration as it is, drawn at random: for each key/value head a complex
// factor per rotary pair of its keys, an invertible map of their other coordinates and of its values, all of
// condition at most 10 and undone in queries and output columns. Keys that are normed are left alone.
void change_gauges(const family::ModelConfig& config, std::uint64_t seed, model::Weights& weights);

// Heads in another order, queries and output columns with them.
void shuffle_heads(const family::ModelConfig& config, std::uint64_t seed, model::Weights& weights);

// Every key/value head of a group of config.kv_heads / groups neighbours becomes the first one's copy.
void equal_heads(const family::ModelConfig& config, std::int64_t groups, model::Weights& weights);

}  // namespace regroup::testing
