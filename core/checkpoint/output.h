// A directory that appears whole or not at all.
//
// Everything is written into a sibling, `.NAME.partial`, held by a lock; commit() syncs it and renames it to
// its name in one step. With `overwrite` an existing directory is exchanged for the new one atomically and
// only then removed. A sibling left by a killed run carries a marker file of ours; the next run says so and
// starts clean. A sibling that a live process holds, or that has no marker, is not touched: UserError.
//
// On Linux the exchange is renameat2(RENAME_EXCHANGE); where the file system lacks it, the old directory is
// moved aside first and back again should the second rename fail.
#pragma once

#include <filesystem>
#include <string>

namespace regroup::checkpoint {

class OutputDirectory {
 public:
  // UserError if `path` exists and `overwrite` is false, if its parent does not exist or cannot be written,
  // or if `path` is no directory. Never replaces a directory that is not empty and does not look like one
  // that we or HF wrote (no config.json): `--overwrite` pointed at a home directory must not cost it.
  OutputDirectory(std::filesystem::path path, bool overwrite);
  ~OutputDirectory();  // without commit(): removes the sibling
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }        // where it will be
  const std::filesystem::path& partial() const { return partial_; }  // where to write meanwhile
  void commit();

 private:
  std::filesystem::path path_, partial_;
  bool overwrite_ = false, committed_ = false;
  int lock_ = -1;
};

}  // namespace regroup::checkpoint
