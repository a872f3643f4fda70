#include "core/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

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

File::File(File&& other) noexcept {
  *this = std::move(other);
}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(appended_, other.appended_);
  std::swap(writeback_from_, other.writeback_from_);
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

void File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "cannot be read");
    if (got == 0)
      throw UserError({.where = path_.string(),
                       .what = "ends too early",
                       .expected = fmt::format("{} bytes", offset + out.size()),
                       .found = fmt::format("{}", offset + done),
                       .remedy = "Was the download cut off?"});
    done += static_cast<std::size_t>(got);
  }
}

void File::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(path_, "cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    appended_ += static_cast<std::uint64_t>(put);
  }
}

void File::append(std::string_view text) {
  append(std::as_bytes(std::span(text)));
}

void File::start_writeback() {
  ::sync_file_range(descriptor_, static_cast<off_t>(writeback_from_),
                    static_cast<off_t>(appended_ - writeback_from_), SYNC_FILE_RANGE_WRITE);
  writeback_from_ = appended_;
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
