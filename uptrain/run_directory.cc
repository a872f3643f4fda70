#include "uptrain/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/file_lock.h"
#include "core/base/log.h"
#include "core/checkpoint/output.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kLock = ".lock";

enum class Content { kNothing, kUnfinished, kFinished, kForeign };

Content content_of(const fs::path& path) {
  if (!fs::exists(path)) return Content::kNothing;
  if (!fs::is_directory(path)) return Content::kForeign;
  if (fs::exists(path / kConfig)) return Content::kFinished;
  if (fs::exists(path / kLock) || fs::exists(path / "metrics.jsonl")) return Content::kUnfinished;
  return fs::is_empty(path) ? Content::kNothing : Content::kForeign;
}

void refuse(const fs::path& path, Content content, bool resume, bool overwrite) {
  if (content == Content::kForeign)
    throw UserError({.where = path.string(),
                     .what = "exists and is neither a model nor a run of ours",
                     .remedy = "Nothing was touched; give another --out"});
  if (content == Content::kFinished && !overwrite)
    throw UserError(
        {.where = path.string(),
         .what = "holds a finished model",
         .remedy = "Give another --out, or --overwrite to replace it once the new one is complete"});
  if (content == Content::kUnfinished && !resume && !overwrite)
    throw UserError({.where = path.string(),
                     .what = "holds an unfinished run",
                     .remedy = "Go on with --resume, or start anew with --overwrite"});
}

// The last component, also of "out/".
fs::path without_slash(fs::path path) {
  return path.has_filename() ? path : path.parent_path();
}

int take_lock(const fs::path& path) {
  const int lock = ::open((path / kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock < 0)
    throw UserError({.where = path.string(), .what = "cannot be written", .found = std::strerror(errno)});
  if (lock_file(lock, path / kLock)) return lock;
  ::close(lock);
  throw UserError(
      {.where = path.string(), .what = "another run is at work there", .remedy = "Wait for it or stop it"});
}

}  // namespace

fs::path checkpoints_of(const fs::path& path) {
  return path / "checkpoints";
}

bool require_run_directory(const fs::path& path, bool resume, bool overwrite) {
  const Content content = content_of(path);
  refuse(path, content, resume, overwrite);
  checkpoint::require_parent(without_slash(path));
  return content == Content::kUnfinished && resume;
}

RunDirectory::RunDirectory(fs::path path, bool resume, bool overwrite)
    : path_(without_slash(std::move(path))) {
  replaced_ = path_.parent_path() / fmt::format(".{}.replaced", path_.filename().string());
  const bool go_on = require_run_directory(path_, resume, overwrite);
  const Content content = content_of(path_);
  if (go_on || content == Content::kNothing) {
    std::error_code error;
    fs::create_directory(path_, error);
    if (error) throw UserError({.where = path_.string(), .what = "cannot be made", .found = error.message()});
    lock_ = take_lock(path_);
    return;
  }
  const int held = take_lock(path_);  // a live run must not be moved from under its feet
  if (content == Content::kFinished) fs::remove_all(replaced_);
  if (fs::exists(replaced_))
    fs::remove_all(path_);  // what an interrupted --overwrite began: the model it was to replace still waits
  else
    fs::rename(path_, replaced_);
  ::close(held);
  fs::create_directory(path_);
  lock_ = take_lock(path_);
}

RunDirectory::~RunDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

void RunDirectory::prepare_finishing() const {
  fs::remove_all(finishing());
  fs::create_directory(finishing());
}

void RunDirectory::finish() {
  std::vector<fs::path> names;
  for (const auto& entry : fs::directory_iterator(finishing())) names.push_back(entry.path().filename());
  sync_directory(finishing());
  for (const fs::path& name : names)
    if (name != kConfig) fs::rename(finishing() / name, path_ / name);
  sync_directory(path_);
  fs::rename(finishing() / kConfig, path_ / kConfig);
  fs::remove(finishing());
  fs::remove(path_ / kLock);
  sync_directory(path_);
  fs::remove_all(replaced_);
}

}  // namespace regroup::uptrain
