// OUT: what may stand there when a run begins, and how the finished model appears in it.
//
// An unfinished run holds no config.json, so nothing can load it; config.json is renamed into place last.
// --overwrite moves what was there to the sibling `.NAME.replaced`, which is removed once the new model is
// whole.
#pragma once

#include <filesystem>

namespace regroup::uptrain {

// For before the work starts, and again in RunDirectory: changes nothing. Whether an unfinished run goes on.
// UserError when OUT holds a finished model and not `overwrite`; an unfinished run and neither `resume` nor
// `overwrite`; or anything else that is not ours; or when there is no folder to make it in.
bool require_run_directory(const std::filesystem::path& path, bool resume, bool overwrite);

// Where the states of a run in OUT are.
std::filesystem::path checkpoints_of(const std::filesystem::path& path);

class RunDirectory {
 public:
  // UserError also when another process is at work there, or when it cannot be made.
  RunDirectory(std::filesystem::path path, bool resume, bool overwrite);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return path_ / "tensorboard"; }
  std::filesystem::path checkpoints() const { return checkpoints_of(path_); }
  // Where the finished model's files are written before finish() moves them to their places.
  std::filesystem::path finishing() const { return path_ / ".finishing"; }
  void prepare_finishing() const;  // an empty directory
  void finish();

 private:
  std::filesystem::path path_, replaced_;
  int lock_ = -1;
};

}  // namespace regroup::uptrain
