#include "core/checkpoint/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/file_lock.h"
#include "core/base/log.h"
#include "core/base/output_file.h"
#include "core/checkpoint/rename.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = "regroup.lock";
constexpr const char* kNew = "new";
constexpr const char* kOld = "old";

[[noreturn]] void fail(const fs::path& where, std::string what, int code) {
  throw UserError(
      {.where = where.string(),
       .what = std::move(what),
       .found = std::strerror(code),
       .remedy = code == ENOSPC || code == EDQUOT ? "The disk is full: free some room and run again" : ""});
}

bool is_there(const fs::path& path) {
  return fs::exists(fs::symlink_status(path));
}

// The directory that a person means by "out/", ".", or a link to one.
fs::path meant_by(fs::path path) {
  while (path.filename().empty() && path.has_relative_path()) path = path.parent_path();
  std::error_code error;
  const bool dots = path.filename() == "." || path.filename() == "..";
  if (dots || fs::is_symlink(path, error)) {
    const fs::path target = fs::canonical(path, error);
    if (error) fail(path, "cannot be an output directory", error.value());
    path = target;
  }
  if (path.filename().empty())
    throw UserError({.where = path.string(), .what = "cannot be an output directory"});
  return path;
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void require_replaceable(const fs::path& path, bool overwrite) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status))
    throw UserError({.where = path.string(),
                     .what = "cannot be an output directory",
                     .found = "something else of that name",
                     .remedy = "Name another one"});
  if (!overwrite)
    throw UserError({.where = path.string(),
                     .what = "already exists",
                     .remedy =
                         "Name another directory, or pass --overwrite to replace it once the new one is "
                         "complete"});
  if (!fs::is_empty(path) && !fs::exists(path / "config.json"))
    throw UserError(
        {.where = path.string(),
         .what = "is not replaced, although --overwrite was given: it holds files and no config.json, "
                 "so it is no model directory",
         .remedy = "Name another directory, or empty this one yourself"});
}

// A sibling that exists already: one of ours has the marker, or was killed before it could make it.
void require_ours(const fs::path& sibling) {
  const bool ours = fs::is_directory(fs::symlink_status(sibling)) &&
                    (fs::exists(sibling / kMarker) || fs::is_empty(sibling) || fs::exists(sibling / kMarker));
  if (!ours && is_there(sibling))
    throw UserError({.where = sibling.string(),
                     .what = "is in the way and was not made by regroup",
                     .remedy = "Move it elsewhere, or name another output directory"});
}

bool is_file_at(int descriptor, const fs::path& path) {
  struct stat held {
  }, found{};
  return ::fstat(descriptor, &held) == 0 && ::lstat(path.c_str(), &found) == 0 &&
         held.st_ino == found.st_ino && held.st_dev == found.st_dev;
}

[[noreturn]] void fail_as_held(const fs::path& path, const fs::path& marker) {
  std::string holder;
  try {
    holder = read_text(marker);
  } catch (const UserError&) {  // it has just finished
  }
  throw UserError({.where = path.string(),
                   .what = "another run is writing it",
                   .found = holder,
                   .remedy = "Wait for it, or name another directory"});
}

// Makes or takes over the sibling and locks its marker. Its last holder may be removing it at the same time:
// what counts is to hold the marker that is in place, else this starts over.
int hold(const fs::path& path, const fs::path& sibling) {
  const fs::path marker = sibling / kMarker;
  while (true) {
    if (::mkdir(sibling.c_str(), 0777) != 0) {
      if (errno != EEXIST) fail(parent_of(path), "cannot be written to", errno);
      require_ours(sibling);
    }
    const int descriptor = ::open(marker.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0 && errno == ENOENT) continue;
    if (descriptor < 0) fail(marker, "cannot be made", errno);
    const bool locked = lock_file(descriptor, marker);
    if (locked && is_file_at(descriptor, marker)) return descriptor;
    ::close(descriptor);
    if (!locked) fail_as_held(path, marker);
  }
}

void write_marker(int descriptor, const fs::path& marker) {
  const std::string text = fmt::format("process {}", ::getpid());
  if (::ftruncate(descriptor, 0) != 0 ||
      ::pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    fail(marker, "cannot be written", errno);
}

void sync_tree(const fs::path& directory) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory())
      sync_directory(entry.path());
    else if (entry.is_regular_file() && !entry.is_symlink())
      File::open_for_reading(entry.path()).sync();
  }
  sync_directory(directory);
}

}  // namespace

void require_parent(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(parent_of(path), error))
    throw UserError(
        {.where = path.string(),
         .what = fmt::format("there is no directory '{}' to make it in", parent_of(path).string()),
         .remedy = "Make it first, or mend the path"});
}

OutputDirectory::OutputDirectory(fs::path path, bool overwrite)
    : path_(meant_by(std::move(path))), overwrite_(overwrite) {
  require_replaceable(path_, overwrite_);
  require_parent(path_);
  sibling_ = parent_of(path_) / fmt::format(".{}.partial", path_.filename().string());
  partial_ = sibling_ / kNew;
  lock_ = hold(path_, sibling_);
  try {
    write_marker(lock_, sibling_ / kMarker);
    start_clean();
    require_replaceable(path_, overwrite_);  // it may have appeared since
    if (::mkdir(partial_.c_str(), 0777) != 0) fail(partial_, "cannot be made", errno);
  } catch (...) {
    release();
    throw;
  }
}

OutputDirectory::~OutputDirectory() {
  release();
}

// What a killed run left. An old directory that had stepped aside goes back to its place; if its successor
// made it there, only the removal of the old one was cut short.
void OutputDirectory::start_clean() {
  if (is_there(sibling_ / kOld) && !is_there(path_) &&
      rename_to_new(sibling_ / kOld, path_) == Renamed::kDone) {
    sync_directory(parent_of(path_));
    log_info(fmt::format("{}: put back what an interrupted run had moved aside", path_.string()));
  }
  bool cleared = false;
  for (const auto& entry : fs::directory_iterator(sibling_))
    if (entry.path().filename() != kMarker) cleared |= fs::remove_all(entry.path()) > 0;
  if (cleared) log_info(fmt::format("{}: cleared what an interrupted run left", sibling_.string()));
}

void OutputDirectory::require_space(std::uint64_t bytes) const {
  regroup::require_space(path_, partial_, bytes);
}

void OutputDirectory::commit() {
  check(!committed_, "an output directory is committed once");
  sync_tree(partial_);
  if (rename_to_new(partial_, path_) == Renamed::kTargetExists) {
    require_replaceable(path_, overwrite_);
    if (exchange_names(partial_, path_) == Renamed::kUnsupported)
      replace_in_two_steps(partial_, path_, sibling_ / kOld);
  }
  committed_ = true;
  sync_directory(parent_of(path_));
  release();
}

void OutputDirectory::release() noexcept {
  if (lock_ < 0) return;
  std::error_code error;
  // An old directory whose place is empty is the only copy of something.
  if (is_there(path_) || !is_there(sibling_ / kOld)) {
    for (const char* name : {kNew, kOld})
      if (!error) fs::remove_all(sibling_ / name, error);
    if (!error) fs::remove(sibling_ / kMarker, error);
    std::error_code taken_over;  // by the next run, which made its marker already
    if (!error) fs::remove(sibling_, taken_over);
  }
  ::close(std::exchange(lock_, -1));
  if (error)
    log_warning(
        fmt::format("{}: cannot be removed ({}): remove it yourself", sibling_.string(), error.message()));
}

}  // namespace regroup::checkpoint
