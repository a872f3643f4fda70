#include "core/base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/file_lock.h"
#include "core/base/log.h"
#include "core/base/units.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

[[noreturn]] void fail_existing(const fs::path& path, std::string_view flag) {
  throw UserError({.where = fmt::format("{}{}{}", flag, flag.empty() ? "" : " ", path.string()),
                   .what = "exists already",
                   .remedy = "Choose another name, or give --overwrite to replace it"});
}

// Removes the sibling unless it was renamed away.
class Partial {
 public:
  explicit Partial(const fs::path& path)
      : path_(directory_of(path) / fmt::format(".{}.partial-{}", path.filename().string(), ::getpid())) {
    ::unlink(path_.c_str());  // of a killed run that had our process id
  }
  ~Partial() { ::unlink(path_.c_str()); }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void move_into_place(const fs::path& from, const fs::path& to, bool overwrite) {
  // link() never replaces; where the file system has no hard links, a look before the rename must do.
  if (!overwrite && ::link(from.c_str(), to.c_str()) == 0) return;
  if (!overwrite && (errno == EEXIST || fs::exists(fs::symlink_status(to)))) fail_existing(to, "");
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw UserError({.where = to.string(), .what = "cannot be written", .found = std::strerror(errno)});
}

}  // namespace

void require_output_file(const fs::path& path, std::string_view flag, bool overwrite) {
  const std::string where = fmt::format("{} {}", flag, path.string());
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw UserError({.where = where, .what = "is not a regular file", .remedy = "Give the name of a file"});
  if (fs::exists(status) && !overwrite) fail_existing(path, flag);
  if (!fs::is_directory(directory_of(path), error))
    throw UserError({.where = where, .what = "its directory does not exist", .remedy = "Create it first"});
  if (::access(directory_of(path).c_str(), W_OK | X_OK) != 0)
    throw UserError(
        {.where = where, .what = "its directory cannot be written", .found = std::strerror(errno)});
}

void require_apart(const fs::path& output, std::span<const fs::path> inputs) {
  const fs::path written = fs::weakly_canonical(output);
  for (const fs::path& input : inputs) {
    const fs::path read = fs::weakly_canonical(input);
    if (std::ranges::mismatch(written, read).in1 != written.end()) continue;
    throw UserError({.where = output.string(),
                     .what = "would take the place of what is read",
                     .found = input.string(),
                     .remedy = "Name another place to write"});
  }
}

void write_output_file(const fs::path& path, std::span<const std::byte> bytes, bool overwrite) {
  const Partial partial(path);
  {
    File file = File::create(partial.path());
    file.append(bytes);
    file.sync();
  }
  move_into_place(partial.path(), path, overwrite);
  sync_directory(directory_of(path));
}

void require_space(const fs::path& output, const fs::path& directory, std::uint64_t bytes) {
  const std::uint64_t available = fs::space(directory).available;
  if (available < bytes)
    throw UserError({.where = output.string(),
                     .what = "not enough room on its disk",
                     .expected = human_bytes(static_cast<double>(bytes)),
                     .found = human_bytes(static_cast<double>(available)),
                     .remedy = "Free some room, or name a place on another disk"});
}

OutputFile::OutputFile(fs::path path, bool overwrite) : path_(std::move(path)), overwrite_(overwrite) {
  sibling_ = directory_of(path_) / fmt::format(".{}.partial", path_.filename().string());
  lock_path_ = sibling_ / "lock";
  partial_ = sibling_ / "new";
  std::error_code error;
  fs::create_directory(sibling_, error);
  lock_ = ::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0)
    throw UserError({.where = sibling_.string(), .what = "cannot be written", .found = std::strerror(errno)});
  if (!lock_file(lock_, lock_path_)) {
    ::close(lock_);
    throw UserError({.where = path_.string(),
                     .what = "another run is writing it",
                     .remedy = "Wait for that run, or choose another name"});
  }
  if (::unlink(partial_.c_str()) == 0)
    log_info(fmt::format("{}: removed what a killed run had begun", path_.string()));
}

OutputFile::~OutputFile() {
  remove_sibling();
}

// Only what is ours: the folder stays if there is something else in it.
void OutputFile::remove_sibling() noexcept {
  if (lock_ < 0) return;
  ::unlink(partial_.c_str());
  ::unlink(lock_path_.c_str());
  ::rmdir(sibling_.c_str());
  ::close(std::exchange(lock_, -1));
}

void OutputFile::commit() {
  check(lock_ >= 0, "an output file is committed once");
  move_into_place(partial_, path_, overwrite_);
  remove_sibling();
  sync_directory(directory_of(path_));
}

void write_output_file(const fs::path& path, std::string_view text, bool overwrite) {
  write_output_file(path, std::as_bytes(std::span(text)), overwrite);
}

}  // namespace regroup
