#include "core/checkpoint/zip.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zip_archive.h"

namespace regroup::checkpoint {
namespace {

using testing::message_of;
using testing::TempDir;
using testing::write_file;

std::string archive(const std::vector<testing::ArchiveEntry>& entries) {
  return testing::zip_archive(entries);
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
