#include "core/base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/file_lock.h"
#include "tests/support/temp_dir.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

class OutputFile : public ::testing::Test {
 protected:
  std::string refusal(const fs::path& path, bool overwrite = false) {
    try {
      require_output_file(path, "--json", overwrite);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }
  std::ptrdiff_t files() { return std::distance(fs::directory_iterator(directory_.path()), {}); }

  testing::TempDir directory_;
};

TEST_F(OutputFile, AppearsWhole) {
  write_output_file(directory_ / "a.json", "one", false);
  EXPECT_EQ(read_text(directory_ / "a.json"), "one");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputFile, IsReplacedOnlyWhenAsked) {
  write_output_file(directory_ / "a.json", "one", false);
  EXPECT_THROW(write_output_file(directory_ / "a.json", "two", false), UserError);
  EXPECT_EQ(read_text(directory_ / "a.json"), "one");
  write_output_file(directory_ / "a.json", "two", true);
  EXPECT_EQ(read_text(directory_ / "a.json"), "two");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputFile, IsCheckedBeforeTheWork) {
  write_output_file(directory_ / "a.json", "one", false);
  EXPECT_EQ(refusal(directory_ / "b.json"), "");
  EXPECT_EQ(refusal(directory_ / "a.json", true), "");
  EXPECT_NE(refusal(directory_ / "a.json").find("--json"), std::string::npos);
  EXPECT_NE(refusal(directory_ / "a.json").find("exists already"), std::string::npos);
  EXPECT_NE(refusal(directory_ / "no/b.json").find("its directory does not exist"), std::string::npos);
  EXPECT_NE(refusal(directory_.path(), true).find("is not a regular file"), std::string::npos);
  EXPECT_NE(refusal("/dev/null", true).find("is not a regular file"), std::string::npos);
}

TEST_F(OutputFile, NeverTakesThePlaceOfWhatIsRead) {
  fs::create_directories(directory_ / "a/model");
  write_output_file(directory_ / "a/text", "words", false);
  fs::create_directory_symlink("a", directory_ / "link");
  const auto apart = [&](const char* output, const char* input) {
    try {
      require_apart(directory_ / output, std::vector{directory_ / "else", directory_ / input});
    } catch (const UserError& error) {
      const std::string found = "found " + (directory_ / input).string();
      EXPECT_NE(std::string(error.what()).find(found), std::string::npos) << error.what();
      return false;
    }
    return true;
  };
  for (const char* output : {"a", "a/", "link", "link/", "a/model/..", "a/../a"})
    for (const char* input : {"a", "a/", "a/model", "a/model/", "a/text", "link/model", "a/not-yet"})
      EXPECT_FALSE(apart(output, input)) << output << " " << input;
  EXPECT_FALSE(apart("link/text", "a/text"));
  for (const char* output : {"b", "aa", "a/model/new", "a/mod", "a/text.json"})
    for (const char* input : {"a", "a/model", "a/text", "link/model"})
      EXPECT_TRUE(apart(output, input)) << output << " " << input;
}

TEST_F(OutputFile, FailsWithoutATrace) {
  fs::create_directory(directory_ / "taken");
  EXPECT_THROW(write_output_file(directory_ / "taken", "text", true), UserError);
  EXPECT_EQ(files(), 1);
}

using LargeOutputFile = OutputFile;

TEST_F(LargeOutputFile, AppearsWhenItIsCommitted) {
  {
    regroup::OutputFile output(directory_ / "a.gguf", false);
    write_text(output.partial(), "begun");
  }
  EXPECT_EQ(files(), 0) << "nothing is left of what was not committed";
  regroup::OutputFile output(directory_ / "a.gguf", false);
  write_text(output.partial(), "whole");
  EXPECT_FALSE(fs::exists(directory_ / "a.gguf"));
  output.commit();
  EXPECT_EQ(read_text(directory_ / "a.gguf"), "whole");
  EXPECT_EQ(files(), 1);
}

TEST_F(LargeOutputFile, ReplacesOnlyWhenAsked) {
  write_output_file(directory_ / "a.gguf", "old", false);
  {
    regroup::OutputFile output(directory_ / "a.gguf", false);
    write_text(output.partial(), "new");
    EXPECT_THROW(output.commit(), UserError);
  }
  EXPECT_EQ(read_text(directory_ / "a.gguf"), "old");
  regroup::OutputFile output(directory_ / "a.gguf", true);
  write_text(output.partial(), "new");
  output.commit();
  EXPECT_EQ(read_text(directory_ / "a.gguf"), "new");
  EXPECT_EQ(files(), 1);
}

TEST_F(LargeOutputFile, IsWrittenByOneRunAtATime) {
  const regroup::OutputFile first(directory_ / "a.gguf", true);
  try {
    const regroup::OutputFile second(directory_ / "a.gguf", true);
    ADD_FAILURE() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("another run is writing it"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(fs::exists(first.partial().parent_path())) << "the first run's folder stays";
}

// What flock says of a descriptor that is none stands for a file system without locks.
TEST_F(LargeOutputFile, AFileThatCannotBeLockedIsNotOneThatIsHeld) {
  const fs::path path = directory_ / "lock";
  write_text(path, "");
  const int first = ::open(path.c_str(), O_RDWR | O_CLOEXEC),
            second = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_TRUE(lock_file(first, path));
  EXPECT_FALSE(lock_file(second, path));
  ::close(first);
  EXPECT_TRUE(lock_file(second, path));
  ::close(second);
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(lock_file(-1, path));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("lock: cannot be locked (Bad file descriptor): make sure"), std::string::npos) << said;
}

TEST_F(LargeOutputFile, ClearsWhatAKilledRunLeft) {
  const fs::path sibling = directory_ / ".a.gguf.partial";
  fs::create_directory(sibling);
  write_text(sibling / "lock", "");
  write_text(sibling / "new", "half");
  write_text(sibling / "mine", "of somebody else");
  {
    regroup::OutputFile output(directory_ / "a.gguf", false);
    EXPECT_FALSE(fs::exists(output.partial()));
    write_text(output.partial(), "whole");
    output.commit();
  }
  EXPECT_EQ(read_text(directory_ / "a.gguf"), "whole");
  EXPECT_EQ(read_text(sibling / "mine"), "of somebody else");
}

TEST_F(LargeOutputFile, NeedsRoom) {
  require_space("a.gguf", directory_.path(), 1);
  try {
    require_space("a.gguf", directory_.path(), std::uint64_t{1} << 62);
    ADD_FAILURE() << "no UserError";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("a.gguf: not enough room on its disk"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace regroup
