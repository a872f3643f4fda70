#include "uptrain/run_directory.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;
using testing::user_error_of;

void make_finished(const fs::path& path) {
  fs::create_directory(path);
  write_text(path / "config.json", "old");
}

void finish(const RunDirectory& directory) {
  directory.prepare_finishing();
  write_text(directory.finishing() / "config.json", "new");
  write_text(directory.finishing() / "model.safetensors", "weights");
}

std::string refusal(const fs::path& path, bool resume, bool overwrite) {
  return user_error_of([&] { RunDirectory directory(path, resume, overwrite); });
}

TEST(RunDirectory, AModelAppearsWhole) {
  const TempDir folder;
  RunDirectory directory(folder / "out", false, false);
  finish(directory);
  EXPECT_FALSE(fs::exists(folder / "out/config.json"));
  directory.finish();
  EXPECT_EQ(read_text(folder / "out/config.json"), "new");
  EXPECT_EQ(read_text(folder / "out/model.safetensors"), "weights");
  EXPECT_FALSE(fs::exists(folder / "out/.finishing"));
  EXPECT_FALSE(fs::exists(folder / "out/.lock"));
}

TEST(RunDirectory, AFinishedModelIsNotTouched) {
  const TempDir folder;
  make_finished(folder / "out");
  EXPECT_CONTAINS(refusal(folder / "out", false, false), "holds a finished model");
  EXPECT_CONTAINS(refusal(folder / "out", true, false), "holds a finished model");
  EXPECT_EQ(read_text(folder / "out/config.json"), "old");
}

TEST(RunDirectory, AnUnfinishedRunNeedsADecision) {
  const TempDir folder;
  { RunDirectory directory(folder / "out", false, false); }
  EXPECT_CONTAINS(refusal(folder / "out", false, false),
                  "Go on with --resume, or start anew with --overwrite");
  write_text(folder / "out/metrics.jsonl", "kept");
  { RunDirectory directory(folder / "out", true, false); }
  EXPECT_EQ(read_text(folder / "out/metrics.jsonl"), "kept");
  { RunDirectory directory(folder / "out", false, true); }
  EXPECT_FALSE(fs::exists(folder / "out/metrics.jsonl"));
}

TEST(RunDirectory, OverwritingKeepsTheOldModelUntilTheNewOneIsWhole) {
  const TempDir folder;
  make_finished(folder / "out");
  { RunDirectory stopped(folder / "out", false, true); }
  EXPECT_EQ(read_text(folder / ".out.replaced/config.json"), "old");
  { RunDirectory stopped_again(folder / "out", false, true); }
  EXPECT_EQ(read_text(folder / ".out.replaced/config.json"), "old");
  RunDirectory directory(folder / "out", true, false);
  finish(directory);
  directory.finish();
  EXPECT_EQ(read_text(folder / "out/config.json"), "new");
  EXPECT_FALSE(fs::exists(folder / ".out.replaced"));
}

TEST(RunDirectory, WhatIsNotOursIsNeverReplaced) {
  const TempDir folder;
  fs::create_directory(folder / "out");
  write_text(folder / "out/thesis.tex", "years of work");
  EXPECT_CONTAINS(refusal(folder / "out", false, true), "neither a model nor a run of ours");
  EXPECT_EQ(read_text(folder / "out/thesis.tex"), "years of work");
}

TEST(RunDirectory, TwoRunsDoNotShareAFolder) {
  const TempDir folder;
  const RunDirectory first(folder / "out", false, false);
  EXPECT_CONTAINS(refusal(folder / "out", true, false), "another run is at work there");
  EXPECT_CONTAINS(refusal(folder / "out", false, true), "another run is at work there");
}

TEST(RunDirectory, AMissingParentIsNamed) {
  const TempDir folder;
  const std::string parent = (folder / "no").string();
  for (const char* out : {"no/out", "no/out/"})
    EXPECT_CONTAINS(user_error_of([&] { require_run_directory(folder / out, false, false); }),
                    "there is no directory '" + parent + "' to make it in");
}

}  // namespace
}  // namespace regroup::uptrain
