#include "core/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace regroup {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string what) {
  const int code = errno;
  throw UserError(
      {.where = path.string(),
       .what = std::move(what),
       .found = std::strerror(code),
       .remedy = code == ENOSPC || code == EDQUOT ? "The disk is full: free some room and run again" : ""});
}

// True if most pages of a file are in memory.
bool mostly_cached(int descriptor, std::size_t size) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* mapped = size == 0 ? MAP_FAILED : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (mapped == MAP_FAILED) return false;
  std::vector<unsigned char> pages((size + page - 1) / page);
  const bool known = ::mincore(mapped, size, pages.data()) == 0;
  ::munmap(mapped, size);
  const auto resident = std::ranges::count_if(pages, [](unsigned char flags) { return flags & 1; });
  return known && 2 * static_cast<std::size_t>(resident) > pages.size();
}

}  // namespace

std::string read_text(const std::filesystem::path& path) {
  const File file = File::open_for_reading(path);
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  File file = File::create(path);
  file.append(text);
  file.sync();
}

File File::open_for_reading(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "cannot be opened");
  File file(path, descriptor);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail(path, "cannot be examined");
  if (!S_ISREG(status.st_mode)) throw UserError({.where = path.string(), .what = "not a file"});
  return file;
}

File File::create(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(path, "cannot be created");
  return File(path, descriptor);
}

File File::open_for_streaming(const std::filesystem::path& path) {
  File file = open_for_reading(path);
  if (!mostly_cached(file.descriptor_, file.size())) file.bypass_cache();
  return file;
}

File File::create_for_streaming(const std::filesystem::path& path) {
  File file = create(path);
  file.bypass_cache();
  return file;
}

void File::bypass_cache() {
  ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) | O_DIRECT);  // refused where it is not known
}

// Some file systems know at the first access only that they cannot bypass their cache, or not this way.
void File::return_to_cache() const {
  ::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) & ~O_DIRECT);
}

File::File(File&& other) noexcept {
  *this = std::move(other);
}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::uint64_t File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail(path_, "cannot be examined");
  return static_cast<std::uint64_t>(status.st_size);
}

std::size_t File::read_up_to(std::uint64_t offset, std::span<std::byte> out) const {
  bool through_cache = false;
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL && !std::exchange(through_cache, true)) {
      return_to_cache();
      continue;
    }
    if (got < 0) fail(path_, "cannot be read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  const std::size_t got = read_up_to(offset, out);
  if (got < out.size())
    throw UserError({.where = path_.string(),
                     .what = "ends too early",
                     .expected = fmt::format("{} bytes", offset + out.size()),
                     .found = fmt::format("{}", offset + got),
                     .remedy = "Was the download cut off?"});
}

void File::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(path_, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  bool through_cache = false;
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EINVAL && !std::exchange(through_cache, true)) {
      return_to_cache();
      continue;
    }
    if (put < 0) fail(path_, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void File::resize(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail(path_, "cannot be written");
}

void File::append(std::string_view text) {
  append(std::as_bytes(std::span(text)));
}

void File::sync() {
  if (::fsync(descriptor_) != 0) fail(path_, "cannot be written to the disk");
}

void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(directory, "cannot be opened");
  const bool synced = ::fsync(descriptor) == 0;
  ::close(descriptor);
  if (!synced) fail(directory, "cannot be written to the disk");
}

}  // namespace regroup
