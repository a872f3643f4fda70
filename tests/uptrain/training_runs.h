// Runs of `regroup uptrain` on the demo checkpoint, a few tokens at a time, for tests that look at the
// program from outside.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace regroup::uptrain {

namespace fs = std::filesystem;
using testing::Ran;
using testing::run_program;
using testing::TempDir;

// Threads that wait for each other in a loop would take the processor from each other on a busy machine.
[[maybe_unused]] inline const int kPatient = ::setenv("OMP_WAIT_POLICY", "passive", 1);

inline const fs::path kModel = fs::path(REGROUP_SOURCE_DIR) / "demo/kjv-mha";

inline std::string random_text(int words, std::uint64_t seed = 0) {
  RandomStream random(seed, "words");
  std::string text;
  for (int i = 0; i < words; ++i) {
    text += i % 12 ? ' ' : '\n';
    text.append(1 + random.below(7), static_cast<char>('a' + random.below(26)));
  }
  return text;
}

inline void write_text_data(const TempDir& folder) {
  write_text(folder / "text", random_text(4000));
  write_text(folder / "valid", random_text(200, 1));
}

inline std::vector<std::string> arguments(const TempDir& folder, const std::string& out) {
  return {"uptrain",
          kModel.string(),
          "--data",
          (folder / "text").string(),
          "--valid",
          (folder / "valid").string(),
          "--out",
          (folder / out).string(),
          "--steps",
          "24",
          "--sequence-length",
          "32",
          "--batch-tokens",
          "128",
          "--micro-batch",
          "2",
          "--save-every",
          "2",
          "--validate-every",
          "8",
          "--seed",
          "5",
          "--threads",
          "2",
          "--quiet"};
}

inline pid_t start_program(std::vector<std::string> words, const fs::path& log = "/dev/null") {
  words.insert(words.begin(), REGROUP_PROGRAM);
  const pid_t child = fork();
  if (child != 0) return child;
  ::dup2(::open("/dev/null", O_WRONLY), 1);
  ::dup2(::open(log.c_str(), O_WRONLY | O_CREAT, 0666), 2);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// The lines without what a clock had a say in.
inline std::vector<Json> metrics_of(const fs::path& out) {
  std::vector<Json> lines;
  std::istringstream text(read_text(out / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    Json json = parse_json(line, "metrics");
    for (const char* key : {"tokens_per_second", "mfu", "seconds"}) {
      EXPECT_TRUE(json.contains(key));
      json.erase(key);
    }
    lines.push_back(std::move(json));
  }
  return lines;
}

inline std::vector<std::string> with_teacher(const TempDir& folder, const std::string& out) {
  auto words = arguments(folder, out);
  words.insert(words.end(), {"--teacher", kModel.string()});
  return words;
}

}  // namespace regroup::uptrain
