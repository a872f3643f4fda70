#include "core/checkpoint/zip.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

using testing::message_of;
using testing::TempDir;
using testing::write_file;

// Little-endian; bytes beyond the eighth are zero.
std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value >>= 8) text += static_cast<char>(value & 0xff);
  return text;
}

struct Entry {
  std::string name, data;
  int flags = 0, method = 0;
  std::uint64_t local = ~std::uint64_t{0};  // where the directory says that the local header is
  std::uint64_t size = ~std::uint64_t{0};   // and how large the data
};

// A zip archive, byte by byte.
std::string archive(const std::vector<Entry>& entries) {
  std::string file, directory;
  for (const Entry& entry : entries) {
    const std::uint64_t size = entry.size == ~std::uint64_t{0} ? entry.data.size() : entry.size;
    const std::string sizes = number(0, 4) + number(size, 4) + number(size, 4);  // after the CRC
    const std::string common =
        number(20, 2) + number(entry.flags, 2) + number(entry.method, 2) + number(0, 4);
    directory += "PK\1\2" + number(20, 2) + common + sizes + number(entry.name.size(), 2) + number(0, 12) +
                 number(entry.local == ~std::uint64_t{0} ? file.size() : entry.local, 4) + entry.name;
    file += "PK\3\4" + common + sizes + number(entry.name.size(), 2) + number(0, 2) + entry.name + entry.data;
  }
  return file + directory + "PK\5\6" + number(0, 4) + number(entries.size(), 2) + number(entries.size(), 2) +
         number(directory.size(), 4) + number(file.size(), 4) + number(0, 2);
}

class Zip : public ::testing::Test {
 protected:
  std::map<std::string, ZipEntry, std::less<>> entries_of(const std::string& bytes) {
    write_file(directory_ / "z", bytes);
    return stored_entries(File::open_for_reading(directory_ / "z"));
  }
  std::string refusal(const std::string& bytes) {
    const std::string text = message_of([&] { entries_of(bytes); });
    return text.substr(std::min(text.size(), (directory_ / "z").string().size() + 2));
  }
  TempDir directory_;
};

TEST_F(Zip, SaysWhereTheBytesOfEntriesLie) {
  const std::string bytes = archive({{"a", "xyz"}, {"b/c", ""}, {"d", "uv"}});
  const auto entries = entries_of(bytes);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(bytes.substr(entries.at("a").begin, entries.at("a").bytes), "xyz");
  EXPECT_EQ(entries.at("b/c").bytes, 0u);
  EXPECT_EQ(bytes.substr(entries.at("d").begin, entries.at("d").bytes), "uv");
  EXPECT_TRUE(entries_of(archive({})).empty());
}

TEST_F(Zip, RefusesEntriesThatAreNotStoredAsTheyAre) {
  EXPECT_EQ(refusal(archive({{"a", "xyz", 1}})), "entry 'a' of the zip archive is encrypted");
  EXPECT_EQ(refusal(archive({{"a", "xyz", 0, 8}})),
            "entry 'a' of the zip archive is compressed, which torch.save never does. Load the file and "
            "torch.save() its state_dict()");
}

TEST_F(Zip, RefusesADirectoryThatLies) {
  EXPECT_EQ(refusal(archive({{"a", "xyz"}, {"a", "uv"}})), "entry 'a' of the zip archive is there twice");
  EXPECT_EQ(
      refusal(archive({{"a", "xyz", 0, 0, 5}})),
      "entry 'a' of the zip archive does not begin where the archive's directory says. Was the download "
      "cut off?");
  EXPECT_EQ(
      refusal(archive({{"a", "xyz", 0, 0, 0xfffffff0}})),
      "entry 'a' of the zip archive does not begin where the archive's directory says. Was the download "
      "cut off?");
  EXPECT_EQ(
      refusal(archive({{.name = "a", .data = "xyz", .size = 1000}})),
      "entry 'a' of the zip archive ends beyond the entries' part of the file. Was the download cut off?");
  EXPECT_EQ(refusal(archive({{.name = "a", .data = "xyz", .size = 36}, {"b", "uvw"}})),
            "entry 'b' of the zip archive shares bytes with entry 'a'");
}

TEST_F(Zip, RefusesADirectoryThatIsDamagedOrGone) {
  const std::string bytes = archive({{"a", "xyz"}, {"b", "uv"}});
  std::string damaged = bytes;
  damaged[damaged.rfind("PK\1\2")] = 'x';
  EXPECT_EQ(refusal(damaged), "the zip archive has a damaged directory. Was the download cut off?");
  EXPECT_EQ(refusal(bytes.substr(0, bytes.size() - 22)),
            "the zip archive has no directory. Was the download cut off?");
}

}  // namespace
}  // namespace regroup::checkpoint
