#include "core/base/output_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"

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

void write_output_file(const fs::path& path, std::string_view text, bool overwrite) {
  write_output_file(path, std::as_bytes(std::span(text)), overwrite);
}

}  // namespace regroup
