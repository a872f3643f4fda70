#include "core/base/file_lock.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>

#include "core/base/log.h"

namespace regroup {

bool lock_file(int descriptor, const std::filesystem::path& path) {
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  log_warning(fmt::format("{}: cannot be locked ({}): make sure that no other run writes here", path.string(),
                          std::strerror(errno)));
  return true;
}

}  // namespace regroup
