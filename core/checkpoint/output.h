// A directory that appears whole or not at all.
//
//   .NAME.partial/        a sibling of NAME, ours while its marker is locked
//     regroup.lock        the marker: says which process, first to be made and last to go
//     new/                everything is written here: partial()
//     old/                the directory that NAME was, should it have to step aside first
//
// commit() syncs new/ and renames it to NAME in one step. With `overwrite` an existing directory is exchanged
// for the new one atomically (renameat2, RENAME_EXCHANGE) and only then removed; where the file system lacks
// that, the old one is moved aside first and back again should the second rename fail. The marker is never
// inside what is committed, so no instant at which a run may be killed leaves NAME anything but whole.
//
// A sibling left by a killed run is recognised by its marker; the next run says so and starts clean. A
// sibling that a live process holds, or that has no marker and is not empty, is not touched: UserError.
#pragma once

#include <cstdint>
#include <filesystem>

namespace regroup::checkpoint {

// UserError unless there is a directory to make `path` in.
void require_parent(const std::filesystem::path& path);

class OutputDirectory {
 public:
  // UserError if `path` exists and `overwrite` is false, if its parent does not exist or cannot be written,
  // or if `path` is no directory. Never replaces a directory that is not empty and does not look like one
  // that we or HF wrote (no config.json): `--overwrite` pointed at a home directory must not cost it. A link
  // to a directory stands for the directory.
  OutputDirectory(std::filesystem::path path, bool overwrite);
  ~OutputDirectory();  // without commit(): removes the sibling
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }        // where it will be
  const std::filesystem::path& partial() const { return partial_; }  // where to write meanwhile
  // UserError if the disk has no room for as many more bytes: better said before the work than after it.
  void require_space(std::uint64_t bytes) const;
  void commit();

 private:
  void start_clean();
  void release() noexcept;

  std::filesystem::path path_, sibling_, partial_;
  bool overwrite_ = false, committed_ = false;
  int lock_ = -1;
};

}  // namespace regroup::checkpoint
