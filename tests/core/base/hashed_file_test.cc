#include "core/base/hashed_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

using testing::TempDir;
using testing::user_error_of;

constexpr std::size_t kBlock = 8 << 20;
// Around the alignment, around a block, and more than is ever in flight.
constexpr std::size_t kSizes[] = {
    0, 1, 4095, 4096, 4097, kBlock - 1, kBlock, kBlock + 1, 6 * kBlock + 12'345};

std::vector<std::byte> pattern(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 1000);
  return bytes;
}

// Calls `each` with pieces of growing sizes.
template <typename Byte, typename Each>
void in_pieces(std::span<Byte> bytes, Each each) {
  for (std::size_t step = 1; !bytes.empty(); step = step * 5 / 3 + 1) {
    const auto piece = bytes.first(std::min(step, bytes.size()));
    bytes = bytes.subspan(piece.size());
    each(piece);
  }
}

std::vector<std::byte> bytes_of(const fs::path& path) {
  const std::string text = read_text(path);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string write_in_pieces(const fs::path& path, const std::vector<std::byte>& bytes) {
  HashedWriter writer(path, bytes.size());
  in_pieces(std::span(bytes), [&](auto piece) { writer.append(piece); });
  return writer.finish();
}

void expect_reads(const fs::path& path, const std::vector<std::byte>& bytes) {
  HashedReader reader(path);
  std::vector<std::byte> read(bytes.size());
  in_pieces(std::span(read), [&](auto piece) { reader.read(piece); });
  EXPECT_EQ(reader.position(), bytes.size());
  EXPECT_TRUE(read == bytes) << path << " " << bytes.size();
  EXPECT_EQ(reader.finish(), sha256_of_file(path));
}

void drop_from_cache(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY);
  ::fsync(descriptor);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
}

TEST(HashedFile, WritesAndReadsWhatItHashes) {
  const TempDir directory;
  for (const std::size_t size : kSizes) {
    const auto bytes = pattern(size);
    const fs::path path = directory / std::to_string(size);
    const std::string hash = write_in_pieces(path, bytes);
    EXPECT_EQ(fs::file_size(path), size);
    EXPECT_TRUE(bytes_of(path) == bytes) << size;
    EXPECT_EQ(hash, sha256_of_file(path));
    expect_reads(path, bytes);  // from the cache
    drop_from_cache(path);
    expect_reads(path, bytes);  // from the disk
  }
}

// A file system in memory has no cache to bypass.
TEST(HashedFile, WorksWhereTheCacheCannotBeBypassed) {
  if (!fs::is_directory("/dev/shm")) GTEST_SKIP() << "no /dev/shm";
  const fs::path path = "/dev/shm/regroup-hashed-file-" + std::to_string(::getpid());
  const auto bytes = pattern(kBlock + 12'345);
  const std::string hash = write_in_pieces(path, bytes);
  EXPECT_EQ(hash, sha256_of_file(path));
  expect_reads(path, bytes);
  fs::remove(path);
}

// So does a disk that wants another alignment than ours.
TEST(HashedFile, GoesThroughTheCacheWhenTheDiskRefuses) {
  const TempDir directory;
  const auto bytes = pattern(10'000);
  File file = File::create_for_streaming(directory / "f");
  file.write_at(0, std::span(bytes).first(5000));
  file.write_at(5000, std::span(bytes).subspan(5000));
  EXPECT_TRUE(bytes_of(directory / "f") == bytes);
  drop_from_cache(directory / "f");
  std::vector<std::byte> read(4999);
  File::open_for_streaming(directory / "f").read_at(5001, read);
  EXPECT_TRUE(std::ranges::equal(read, std::span(bytes).subspan(5001)));
}

TEST(HashedFile, SkipsButHashesAll) {
  const TempDir directory;
  const auto bytes = pattern(9 * kBlock + 77);
  write_in_pieces(directory / "f", bytes);
  HashedReader reader(directory / "f");
  std::vector<std::byte> read(1000);
  for (const std::size_t offset : {std::size_t{3}, kBlock - 500, 6 * kBlock + 9, 9 * kBlock - 923}) {
    reader.skip(offset - reader.position());
    reader.read(read);
    EXPECT_TRUE(std::ranges::equal(read, std::span(bytes).subspan(offset, read.size()))) << offset;
  }
  EXPECT_THROW(reader.skip(1001), InternalError);
  EXPECT_EQ(reader.finish(), sha256_of_file(directory / "f"));
}

TEST(HashedFile, SaysThatAFileWasCutOffMeanwhile) {
  const TempDir directory;
  write_in_pieces(directory / "f", pattern(9 * kBlock));
  HashedReader reader(directory / "f");
  fs::resize_file(directory / "f", 8 * kBlock + 5);
  EXPECT_EQ(user_error_of([&] { reader.finish(); }),
            (directory / "f").string() +
                ": ends too early: expected 75497472 bytes, found 67108869. Was the download cut off?");
}

TEST(HashedFile, WantsExactlyTheAnnouncedBytes) {
  const TempDir directory;
  HashedWriter few(directory / "few", 10);
  few.append(pattern(9));
  EXPECT_THROW(few.finish(), InternalError);
  HashedWriter many(directory / "many", 10);
  EXPECT_THROW(many.append(pattern(11)), InternalError);
}

}  // namespace
}  // namespace regroup
