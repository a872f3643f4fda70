// Merged layers on disk: what a calibrated conversion has done so far, and what its files are written from.
#pragma once

#include <filesystem>
#include <optional>

#include "convert/merged_layers.h"
#include "core/base/json.h"

namespace regroup::convert {

class LayerFiles {
 public:
  // Takes up `directory` if it was left by a run of the same `fingerprint`; else clears it, saying what
  // differs, and starts. UserError if the path is taken by something else.
  LayerFiles(std::filesystem::path directory, const Json& fingerprint);

  bool has(std::int64_t layer) const;
  // Whole or not at all.
  void write(std::int64_t layer, const MergedLayer& merged) const;
  MergedLayer read(std::int64_t layer) const;

  const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path path_of(std::int64_t layer) const;
  std::filesystem::path directory_;
};

}  // namespace regroup::convert
