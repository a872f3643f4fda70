// Converting a checkpoint: plan, execute, and say what was done. The library's front door; knows no LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convert/plan.h"

namespace regroup::convert {

struct ConvertOptions {
  std::filesystem::path model, output;
  PlanOptions plan;
  CalibrationOptions calibration;
  std::string device = "cpu";
  std::uint64_t seed = 0;
  bool overwrite = false;
};

// What --plan prints. Reads headers only and writes nothing.
std::string describe(const ConvertOptions& options);

// Writes `options.output`, whole or not at all (checkpoint/output.h): weights, config.json, the source's
// other files, regroup.json (what was done to what, with hashes; `resolved` are its options) and REGROUP.md
// (the same for people). Returns a summary for people.
std::string convert(const ConvertOptions& options, const Json& resolved);

// Names and summaries of merge methods and of refits, for --help.
std::string method_help();
std::string_view best_refit();
std::string refit_help();
std::vector<std::string> method_names();

}  // namespace regroup::convert
