#include "core/base/output_file.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"
#include "core/base/file.h"
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

TEST_F(OutputFile, FailsWithoutATrace) {
  fs::create_directory(directory_ / "taken");
  EXPECT_THROW(write_output_file(directory_ / "taken", "text", true), UserError);
  EXPECT_EQ(files(), 1);
}

}  // namespace
}  // namespace regroup
