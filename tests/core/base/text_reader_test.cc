#include "core/base/text_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"

namespace regroup {
namespace {

using testing::gzip_of;
using testing::TempDir;
using testing::user_error_of;

std::string long_text() {
  std::string text;
  for (int i = 0; i < 120'000; ++i) text += "verse " + std::to_string(i * 7919 % 100'003) + "\n";
  return text;
}

// What is read of a file with these bytes, in pieces of `size`.
std::string read_in_pieces(const std::string& bytes, std::size_t size) {
  const TempDir temporary;
  write_text(temporary / "a", bytes);
  TextReader reader(temporary / "a");
  std::string text;
  std::vector<char> piece(size);
  for (std::size_t got = size; got == size;) {
    got = reader.read(piece);
    text.append(piece.data(), got);
  }
  return text;
}

std::string whole(const std::string& bytes, std::uint64_t most = 0) {
  const TempDir temporary;
  write_text(temporary / "a.gz", bytes);
  return read_unpacked_text(temporary / "a.gz", most);
}

TEST(TextReader, ReadsPlainFilesAsTheyLie) {
  const std::string text = long_text();
  EXPECT_EQ(whole(text), text);
  EXPECT_EQ(read_in_pieces(text, 1000), text);
  EXPECT_EQ(whole(""), "");
  EXPECT_EQ(whole("\x1f"), "\x1f");
}

TEST(TextReader, UnpacksWhatGzipWrote) {
  // printf 'In the beginning\n' | gzip -n
  const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03,
                                  0xf3, 0xcc, 0x53, 0x28, 0xc9, 0x48, 0x55, 0x48, 0x4a, 0x4d,
                                  0xcf, 0xcc, 0xcb, 0xcb, 0xcc, 0x4b, 0xe7, 0x02, 0x00, 0x6d,
                                  0xa9, 0x53, 0x28, 0x11, 0x00, 0x00, 0x00};
  EXPECT_EQ(whole(std::string(std::begin(packed), std::end(packed))), "In the beginning\n");
}

TEST(TextReader, UnpacksPiecesOfAnySize) {
  const std::string text = long_text(), packed = gzip_of(text);
  EXPECT_GT(packed.size(), 256u << 10) << "more than one block";
  for (const std::size_t size : {1, 4093, 1 << 20, 10 << 20})
    EXPECT_TRUE(read_in_pieces(packed, size) == text) << size;
}

TEST(TextReader, ReadsAllMembersAndPassesOverPadding) {
  const std::string text = long_text();
  const std::string packed = gzip_of("one ") + gzip_of("") + gzip_of(text) + gzip_of(" three");
  EXPECT_TRUE(whole(packed) == "one " + text + " three");
  EXPECT_TRUE(whole(packed + std::string(1000, '\0')) == "one " + text + " three");
  EXPECT_EQ(whole(gzip_of("")), "");
}

TEST(TextReader, RefusesAFileThatIsCutOffAnywhere) {
  const std::string packed = gzip_of("one") + gzip_of("In the beginning God created the heaven");
  const std::size_t second = gzip_of("one").size();
  for (std::size_t size = 2; size < packed.size(); ++size) {
    if (size == second) continue;  // a whole file of one member
    EXPECT_CONTAINS(user_error_of([&] { whole(packed.substr(0, size)); }),
                    "a.gz: its gzip compression ends too early: found " + std::to_string(size) + " bytes");
  }
}

TEST(TextReader, RefusesWhatIsNotWhatItsCheckSumSays) {
  const std::string packed = gzip_of("In the beginning God created the heaven");
  for (const std::size_t from_end : {1, 5, 20}) {  // the length, the CRC, the text
    std::string damaged = packed;
    damaged[damaged.size() - from_end] ^= 0x40;
    EXPECT_CONTAINS(user_error_of([&] { whole(damaged); }), "a.gz: its gzip compression is damaged: found ");
  }
  for (const std::string& more : {std::string("text"), std::string("\0\0\x1f\x8b", 4)})
    EXPECT_CONTAINS(user_error_of([&] { whole(packed + more); }), "something else after the compressed text");
  EXPECT_CONTAINS(user_error_of([&] { whole("\x1f\x8b\x07 text and more text"); }), "damaged");
}

TEST(TextReader, RefusesMoreThanItMayHold) {
  const std::string packed = gzip_of(std::string(50 << 20, ' '));
  EXPECT_LT(packed.size(), 60u << 10);
  EXPECT_CONTAINS(user_error_of([&] { whole(packed, 10 << 20); }),
                  "too long a text to hold: expected at most 10 MiB, found more than that");
  EXPECT_EQ(whole(gzip_of("12345"), 5), "12345");
  EXPECT_CONTAINS(user_error_of([&] { whole(gzip_of("123456"), 5); }), "too long");
}

}  // namespace
}  // namespace regroup
