#include "core/base/scratch_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/base/error.h"

namespace regroup {
namespace {

[[noreturn]] void fail(const std::filesystem::path& directory, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  throw UserError({.where = directory.string(),
                   .what = full ? "not enough room for a temporary file" : "no temporary file can be written",
                   .found = std::strerror(code),
                   .remedy = "Free some room, or name a place on another disk"});
}

// Not every file system can make a file without a name; then one loses its name at once.
int open_nameless(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return descriptor;
  std::string name = (directory / ".regroup.XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

ScratchMemory::ScratchMemory(const std::filesystem::path& directory, std::uint64_t bytes) {
  check(bytes > 0, "memory has a size");
  const int descriptor = open_nameless(directory);
  if (descriptor < 0) fail(directory, errno);
  // Blocks are taken now: a disk that fills up later would end the process (SIGBUS).
  int code = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  void* mapped = MAP_FAILED;
  if (code == 0) {
    mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) code = errno;
  }
  ::close(descriptor);  // the mapping holds the file
  if (mapped == MAP_FAILED) fail(directory, code);
  bytes_ = {static_cast<std::byte*>(mapped), bytes};
}

ScratchMemory::~ScratchMemory() {
  ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace regroup
