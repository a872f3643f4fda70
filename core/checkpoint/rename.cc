#include "core/checkpoint/rename.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, int code) {
  throw UserError({.where = path.string(),
                   .what = "cannot be put in place",
                   .found = std::strerror(code),
                   .remedy = code == EBUSY ? "Name a directory inside it" : ""});
}

bool unsupported(int code) {
  return code == EINVAL || code == ENOSYS || code == ENOTSUP;
}

}  // namespace

Renamed rename_to_new(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return Renamed::kDone;
  if (errno == EEXIST) return Renamed::kTargetExists;
  if (!unsupported(errno)) fail(to, errno);
  if (fs::exists(fs::symlink_status(to))) return Renamed::kTargetExists;
  if (::rename(from.c_str(), to.c_str()) != 0) fail(to, errno);
  return Renamed::kDone;
}

Renamed exchange_names(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return Renamed::kDone;
  if (!unsupported(errno)) fail(b, errno);
  return Renamed::kUnsupported;
}

void replace_in_two_steps(const fs::path& from, const fs::path& to, const fs::path& aside) {
  if (::rename(to.c_str(), aside.c_str()) != 0) fail(to, errno);
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  const int code = errno;
  if (::rename(aside.c_str(), to.c_str()) != 0)
    throw UserError({.where = to.string(),
                     .what = "cannot be put in place, and what was there cannot be put back",
                     .found = std::strerror(errno),
                     .remedy = "It is now " + aside.string()});
  fail(to, code);
}

}  // namespace regroup::checkpoint
