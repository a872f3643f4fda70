// Converting a checkpoint: plan, execute, and say what was done. The library's front door; knows no LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "convert/plan.h"

namespace regroup::convert {

struct ConvertOptions {
  std::filesystem::path model, output;
  PlanOptions plan;
  std::uint64_t seed = 0;
  bool overwrite = false;
};

// What --plan prints. Reads headers only and writes nothing.
std::string describe(const ConvertOptions& options);

// Writes `options.output`, whole or not at all (checkpoint/output.h): weights, config.json, the source's
// other files, regroup.json (what was done to what, with hashes; `resolved` are its options) and REGROUP.md
// (the same for people). Returns a summary for people.
std::string convert(const ConvertOptions& options, const Json& resolved);

// Name and summary of every merge method, a line each.
std::string method_help();
std::vector<std::string> method_names();

}  // namespace regroup::convert
