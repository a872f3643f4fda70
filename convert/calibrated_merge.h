// Merging by what calibration tokens show: layer by layer, each merged by the statistics of its inputs and,
// where refits are asked for, refitted to what the source's attention gives.
//
// In memory: one layer, and the residual stream of the source, for refits the student's and the targets
// between them too; on disk where they do not fit (stream_storage.h). Every finished layer is a file in the
// work folder; a run that finds the layers of an equal conversion there goes on from them.
#pragma once

#include <filesystem>

#include "convert/calibration.h"
#include "convert/merged_layers.h"
#include "convert/refit.h"

namespace regroup::convert {

struct CalibrationRecipe {
  MergeRecipe merge;
  CalibrationOptions options;
  std::vector<const Refit*> refits;        // in order; one that does not help on held-out text is left out
  std::optional<checkpoint::DType> dtype;  // of the written weights; none: as stored
  std::string device = "cpu";
};

// What the files of all finished layers take, at most.
std::uint64_t layer_file_bytes(const family::ModelDirectory& model, std::int64_t groups);

// Merges all layers. `work` is created, or taken up; it belongs to this output alone.
MergedLayers merged_from_tokens(const family::ModelDirectory& model, const CalibrationRecipe& recipe,
                                const CalibrationTokens& tokens, const std::filesystem::path& work);

}  // namespace regroup::convert
