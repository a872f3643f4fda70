#include "core/checkpoint/output.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "core/checkpoint/rename.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::file_bytes;
using testing::message_of;
using testing::TempDir;
using testing::write_file;

std::string refusal(const fs::path& path, bool overwrite) {
  return message_of([&] { OutputDirectory(path, overwrite); });
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

using Names = std::vector<std::string>;

// A model directory, as far as --overwrite is concerned.
void make_model(const fs::path& path, const std::string& content) {
  fs::create_directory(path);
  write_file(path / "config.json", content);
}

pid_t in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (const std::exception& error) {
      fprintf(stderr, "child: %s\n", error.what());
    }
    _exit(code);
  }
  return child;
}

int exit_code(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(OutputDirectory, AppearsWholeAtCommit) {
  const TempDir parent;
  OutputDirectory output(parent / "out", false);
  EXPECT_EQ(output.path(), parent / "out");
  write_file(output.partial() / "a", "1");
  fs::create_directory(output.partial() / "sub");
  write_file(output.partial() / "sub/b", "2");
  EXPECT_EQ(names_in(parent.path()), Names{".out.partial"});
  output.commit();
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
  EXPECT_EQ(names_in(parent / "out"), (Names{"a", "sub"}));
  EXPECT_EQ(file_bytes(parent / "out/sub/b"), "2");
}

TEST(OutputDirectory, LeavesNothingWithoutCommit) {
  const TempDir parent;
  {
    OutputDirectory output(parent / "out", false);
    write_file(output.partial() / "a", "1");
  }
  EXPECT_EQ(names_in(parent.path()), Names{});
}

TEST(OutputDirectory, TakesTrailingSlashesDotsAndRelativePaths) {
  const TempDir parent;
  const fs::path before = fs::current_path();
  fs::current_path(parent.path());
  OutputDirectory("plain", false).commit();
  OutputDirectory("slashes//", false).commit();
  OutputDirectory("./dotted/", false).commit();
  OutputDirectory("plain/../other", false).commit();
  EXPECT_EQ(refusal(".", false),
            fs::canonical(".").string() +
                ": already exists. Name another directory, or pass --overwrite to replace it "
                "once the new one is complete");
  fs::current_path(before);
  EXPECT_EQ(names_in(parent.path()), (Names{"dotted", "other", "plain", "slashes"}));
  EXPECT_EQ(refusal("/", true), "/: cannot be an output directory");
}

TEST(OutputDirectory, RefusesWhatIsThere) {
  const TempDir parent;
  make_model(parent / "out", "old");
  EXPECT_EQ(refusal(parent / "out", false),
            (parent / "out").string() +
                ": already exists. Name another directory, or pass --overwrite to replace "
                "it once the new one is complete");
  write_file(parent / "file", "x");
  for (const bool overwrite : {false, true})
    EXPECT_EQ(refusal(parent / "file", overwrite),
              (parent / "file").string() +
                  ": cannot be an output directory: found something else of that name. Name another one");
  EXPECT_EQ(refusal(parent / "no/out", false), (parent / "no/out").string() + ": there is no directory '" +
                                                   (parent / "no").string() +
                                                   "' to make it in. Make it first, or mend the path");
  EXPECT_EQ(names_in(parent.path()), (Names{"file", "out"}));
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "old");
}

TEST(OutputDirectory, OverwritesOnlyAtCommit) {
  const TempDir parent;
  make_model(parent / "out", "old");
  OutputDirectory output(parent / "out", true);
  write_file(output.partial() / "config.json", "new");
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "old");
  output.commit();
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "new");
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
}

TEST(OutputDirectory, NeverCostsADirectoryThatIsNoModel) {
  const TempDir parent;
  fs::create_directory(parent / "home");
  OutputDirectory(parent / "home", true).commit();  // empty: nothing to lose
  write_file(parent / "home/thesis.tex", "x");
  EXPECT_EQ(
      refusal(parent / "home", true),
      (parent / "home").string() +
          ": is not replaced, although --overwrite was given: it holds files and no config.json, so it is no "
          "model directory. Name another directory, or empty this one yourself");
  // The same when it comes to hold something while the work goes on.
  fs::create_directory(parent / "late");
  OutputDirectory output(parent / "late", true);
  write_file(parent / "late/thesis.tex", "x");
  EXPECT_THROW(output.commit(), UserError);
  EXPECT_EQ(names_in(parent / "late"), Names{"thesis.tex"});
}

TEST(OutputDirectory, DoesNotReplaceWhatAppearedMeanwhile) {
  const TempDir parent;
  {
    OutputDirectory output(parent / "out", false);
    make_model(parent / "out", "theirs");
    EXPECT_NE(message_of([&] { output.commit(); }).find("already exists"), std::string::npos);
  }
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "theirs");
}

TEST(OutputDirectory, ReplacesWhatALinkLeadsTo) {
  const TempDir parent;
  make_model(parent / "real", "old");
  fs::create_symlink("real", parent / "link");
  OutputDirectory output(parent / "link", true);
  write_file(output.partial() / "config.json", "new");
  output.commit();
  EXPECT_TRUE(fs::is_symlink(parent / "link"));
  EXPECT_EQ(file_bytes(parent / "real/config.json"), "new");
  fs::remove_all(parent / "real");
  EXPECT_EQ(refusal(parent / "link", true),
            (parent / "link").string() + ": cannot be an output directory: found No such file or directory");
}

TEST(OutputDirectory, BelongsToOneRunAtATime) {
  const TempDir parent;
  const OutputDirectory output(parent / "out", false);
  EXPECT_EQ(refusal(parent / "out", false),
            (parent / "out").string() + ": another run is writing it: found process " +
                std::to_string(getpid()) + ". Wait for it, or name another directory");
  EXPECT_TRUE(fs::exists(output.partial()));
}

TEST(OutputDirectory, DoesNotTouchAStrangersSibling) {
  const TempDir parent;
  fs::create_directory(parent / ".out.partial");
  write_file(parent / ".out.partial/precious", "x");
  const std::string message =
      (parent / ".out.partial").string() +
      ": is in the way and was not made by regroup. Move it elsewhere, or name another "
      "output directory";
  EXPECT_EQ(refusal(parent / "out", false), message);
  EXPECT_EQ(file_bytes(parent / ".out.partial/precious"), "x");
  write_file(parent / ".file.partial", "x");
  EXPECT_NE(refusal(parent / "file", false).find("is in the way"), std::string::npos);
}

TEST(OutputDirectory, ClearsWhatAKilledRunLeftAndSaysSo) {
  const TempDir parent;
  fs::create_directories(parent / ".out.partial/new/sub");
  write_file(parent / ".out.partial/regroup.lock", "process 1");
  write_file(parent / ".out.partial/new/sub/a", "x");
  ::testing::internal::CaptureStderr();
  {
    const OutputDirectory output(parent / "out", false);
    EXPECT_EQ(names_in(output.partial()), Names{});
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            (parent / ".out.partial").string() + ": cleared what an interrupted run left\n");
  fs::create_directory(parent / ".out.partial");  // killed before it could make the marker
  OutputDirectory(parent / "out", false).commit();
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
}

TEST(OutputDirectory, PutsBackWhatHadSteppedAside) {
  const TempDir parent;
  fs::create_directories(parent / ".out.partial");
  write_file(parent / ".out.partial/regroup.lock", "process 1");
  make_model(parent / ".out.partial/old", "old");
  EXPECT_NE(refusal(parent / "out", false).find("already exists"), std::string::npos);
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "old");
}

TEST(OutputDirectory, SaysThatTheDiskIsTooSmall) {
  const TempDir parent;
  const OutputDirectory output(parent / "out", false);
  output.require_space(1);
  const std::string message = message_of([&] { output.require_space(std::uint64_t{1} << 60); });
  EXPECT_EQ(
      message.find((parent / "out").string() + ": not enough room on its disk: expected 1048576 TiB, found "),
      0u)
      << message;
}

// Root may write anywhere, so the child gives that up.
TEST(OutputDirectory, ReportsAParentThatMayNotBeWritten) {
  const TempDir parent;
  fs::permissions(parent.path(), fs::perms(0555));
  const pid_t child = in_child([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return 1;
    return refusal(parent / "out", false) ==
                   parent.path().string() + ": cannot be written to: found Permission denied"
               ? 0
               : 2;
  });
  EXPECT_EQ(exit_code(child), 0);
  fs::permissions(parent.path(), fs::perms(0755));
}

// A limit on the size of files stands for a disk that fills up.
TEST(OutputDirectory, KeepsTheOldOneWhenTheDiskIsFull) {
  const TempDir parent;
  make_model(parent / "out", "old");
  const pid_t child = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    return message_of([&] {
             OutputDirectory output(parent / "out", true);
             write_text(output.partial() / "weights", std::string(2 << 20, 'x'));
             output.commit();
           }).ends_with("weights: cannot be written: found File too large")
               ? 0
               : 1;
  });
  EXPECT_EQ(exit_code(child), 0);
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
  EXPECT_EQ(file_bytes(parent / "out/config.json"), "old");
}

// What generation `out` is, "" if its files do not all say the same.
std::string generation_of(const fs::path& out) {
  const std::string generation = file_bytes(out / "config.json");
  for (const char* name : {"a", "b"})
    if (file_bytes(out / name) != generation) return "";
  return generation;
}

void write_generation(const fs::path& out, const std::string& generation) {
  OutputDirectory output(out, true);
  for (const char* name : {"config.json", "a", "b"}) write_text(output.partial() / name, generation);
  output.commit();
}

TEST(OutputDirectory, IsWholeWheneverTheRunIsKilled) {
  const TempDir parent;
  const fs::path out = parent / "out";
  write_generation(out, "0");
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const pid_t child = in_child([&]() -> int {
      freopen("/dev/null", "w", stderr);
      for (int i = 0;; ++i) write_generation(out, std::to_string(round) + "." + std::to_string(i));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    kill(child, SIGKILL);
    EXPECT_EQ(exit_code(child), -1);
    ASSERT_NE(generation_of(out), "") << "round " << round;
    EXPECT_EQ(names_in(out), (Names{"a", "b", "config.json"}));
  }
  write_generation(out, "last");
  EXPECT_EQ(generation_of(out), "last");
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
}

TEST(OutputDirectory, StaysWholeWhenRunsMeet) {
  const TempDir parent;
  const fs::path out = parent / "out";
  const auto writer = [&] {
    for (int i = 0; i < 30; ++i) {
      try {
        write_generation(out, std::to_string(getpid()) + "." + std::to_string(i));
      } catch (const UserError& error) {
        if (std::string(error.what()).find("another run is writing it") == std::string::npos) throw;
      }
    }
    return 0;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) children.push_back(in_child(writer));
  for (const pid_t child : children) EXPECT_EQ(exit_code(child), 0);
  EXPECT_NE(generation_of(out), "");
  EXPECT_EQ(names_in(parent.path()), Names{"out"});
}

TEST(Rename, ReplacesInTwoStepsOrNotAtAll) {
  const TempDir parent;
  make_model(parent / "old", "old");
  EXPECT_EQ(message_of([&] { replace_in_two_steps(parent / "no", parent / "old", parent / "aside"); }),
            (parent / "old").string() + ": cannot be put in place: found No such file or directory");
  EXPECT_EQ(names_in(parent.path()), Names{"old"});
  make_model(parent / "new", "new");
  replace_in_two_steps(parent / "new", parent / "old", parent / "aside");
  EXPECT_EQ(file_bytes(parent / "old/config.json"), "new");
  EXPECT_EQ(file_bytes(parent / "aside/config.json"), "old");
}

TEST(Rename, NeverReplacesSilently) {
  const TempDir parent;
  fs::create_directory(parent / "a");
  fs::create_directory(parent / "b");
  EXPECT_EQ(rename_to_new(parent / "a", parent / "b"), Renamed::kTargetExists);
  EXPECT_EQ(rename_to_new(parent / "a", parent / "c"), Renamed::kDone);
  EXPECT_EQ(names_in(parent.path()), (Names{"b", "c"}));
}

}  // namespace
}  // namespace regroup::checkpoint
