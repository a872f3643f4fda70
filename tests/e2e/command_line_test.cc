// The program as scripts see it: exit codes, messages, configuration files.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/json.h"
#include "core/base/output_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

using testing::Ran;
using testing::run_program;
using testing::TempDir;

const fs::path kRoot = REGROUP_SOURCE_DIR;
const std::string kDemo = kRoot / "demo/kjv-mha";

// Refused input: exit code 2 and one message of at most twelve lines on stderr, nothing on stdout.
std::string refused(const std::vector<std::string>& arguments) {
  const Ran ran = run_program(arguments);
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("error: ")) << ran.err;
  EXPECT_LE(std::count(ran.err.begin(), ran.err.end(), '\n'), 12) << ran.err;
  return ran.err;
}

TEST(CommandLine, SaysWhatItIs) {
  const Ran ran = run_program({"--version"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_CONTAINS(ran.out, "regroup 0.");
  EXPECT_CONTAINS(ran.out, "LibTorch 2.");
}

TEST(CommandLine, HelpNamesEveryCommandAndMethod) {
  const Ran all = run_program({"--help"});
  EXPECT_EQ(all.code, 0);
  for (const char* command : {"inspect", "convert", "uptrain", "eval", "tokenize", "generate", "export"})
    EXPECT_CONTAINS(all.out, command);
  const Ran convert = run_program({"convert", "--help"});
  for (const char* word : {"--kv-heads", "mean", "first", "random", "--plan"})
    EXPECT_CONTAINS(convert.out, word);
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  EXPECT_CONTAINS(refused({"convert", kDemo, "out", "--kv-heads", "2", "--sharpen"}), "--sharpen");
  EXPECT_CONTAINS(refused({"transmogrify"}), "transmogrify");
  EXPECT_CONTAINS(refused({"convert", kDemo, "out"}), "missing --kv-heads");
  EXPECT_CONTAINS(refused({"convert", "--kv-heads", "2"}), "missing model");
  EXPECT_CONTAINS(refused({"convert", kDemo, "out", "--kv-heads", "two"}), "two");
  EXPECT_CONTAINS(refused({"convert", kDemo, "--kv-heads", "2", "--device", "abacus", "--plan"}), "abacus");
}

// A list before them takes no words that positional arguments need.
TEST(CommandLine, PositionalArgumentsMayComeLast) {
  const std::string text = std::string(REGROUP_SOURCE_DIR) + "/tests/goldens/eval/text.txt";
  const Ran ran = run_program({"eval", "--window", "64", "--data", text, kDemo});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_CONTAINS(ran.out, "kjv-mha (source)");
  EXPECT_CONTAINS(refused({"eval", "--data", text, kDemo, "--window", "64"}), "--data took 2 words");
}

TEST(CommandLine, RefusesADirectoryThatIsNoModel) {
  const TempDir folder;
  EXPECT_CONTAINS(refused({"inspect", folder / "nothing"}), "nothing");
  EXPECT_CONTAINS(refused({"inspect", folder.path()}), "config.json");
}

TEST(CommandLine, ExportsAFileForLlamaCpp) {
  const TempDir folder;
  const std::string out = folder / "demo.gguf";
  const Ran ran = run_program({"export", kDemo, out, "--dtype", "q8_0"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_CONTAINS(ran.out, "llama.cpp architecture llama, 38 tensors, q8_0");
  EXPECT_TRUE(read_text(out).starts_with("GGUF"));
  EXPECT_EQ(read_json(out + ".json")["options"]["dtype"], "q8_0");
  EXPECT_CONTAINS(refused({"export", kDemo, out}), "exists already");
  EXPECT_CONTAINS(refused({"export", kDemo, folder / "other.gguf", "--dtype", "q2"}), "one of fp32");
  EXPECT_CONTAINS(refused({"export", folder / "nothing", folder / "other.gguf"}),
                  "there is no such directory");
}

TEST(ConfigFile, GivesWhatFlagsDoNot) {
  const TempDir folder;
  write_text(folder / "c.toml", "kv-heads = 4\nmethod = \"first\"\n");
  const Ran file = run_program({"convert", kDemo, "--config", folder / "c.toml", "--plan"});
  EXPECT_CONTAINS(file.out, "8 -> 4");
  EXPECT_CONTAINS(file.out, "first");
  const Ran flag =
      run_program({"convert", kDemo, "--config", folder / "c.toml", "--plan", "--kv-heads", "2"});
  EXPECT_CONTAINS(flag.out, "8 -> 2");
  EXPECT_CONTAINS(flag.out, "first");
}

TEST(ConfigFile, AnUnknownKeyIsNamed) {
  const TempDir folder;
  write_text(folder / "c.toml", "kv-haeds = 4\n");
  EXPECT_CONTAINS(refused({"convert", kDemo, "out", "--config", folder / "c.toml"}), "'kv-haeds'");
  write_text(folder / "bad.toml", "kv-heads = \"many\"\n");
  EXPECT_CONTAINS(refused({"convert", kDemo, "out", "--config", folder / "bad.toml"}), "many");
  EXPECT_CONTAINS(refused({"convert", kDemo, "out", "--config", folder / "none.toml"}), "none.toml");
}

TEST(ConfigFile, ASwitchIsTrueOrFalse) {
  const TempDir folder;
  for (const char* line : {"quiet = []", "quiet = 3", "quiet = [true, false]"}) {
    write_output_file(folder / "c.toml", std::string_view(line), true);
    EXPECT_CONTAINS(refused({"inspect", kDemo, "--config", folder / "c.toml"}), "quiet is a switch") << line;
  }
}

TEST(ConfigFile, AFlagBeatsWhatItExcludes) {
  const TempDir folder;
  write_text(folder / "c.toml", "fraction = 0.01\n");
  const std::vector<std::string> words = {"uptrain",      kDemo,      "--out",
                                          folder / "out", "--config", folder / "c.toml"};
  std::vector<std::string> with_steps = words;
  with_steps.insert(with_steps.end(), {"--steps", "3"});
  EXPECT_CONTAINS(refused(with_steps), "missing --data");  // after the budget was taken
  EXPECT_CONTAINS(refused({"uptrain", kDemo, "--steps", "3", "--tokens", "9"}), "excludes");
}

TEST(ConfigFile, EveryShippedOneIsAccepted) {
  int files = 0;
  for (const char* job : {"convert", "uptrain", "eval"})
    for (const auto& entry : fs::directory_iterator(kRoot / "configs" / job)) {
      ++files;
      // With nothing to work on a run stops at a missing argument, after its configuration was taken.
      const std::string message = refused({job, "--config", entry.path()});
      EXPECT_CONTAINS(message, "missing ") << entry.path();
    }
  EXPECT_GE(files, 3);
}

TEST(ConfigFile, TheProvenanceOfARunRepeatsIt) {
  const TempDir folder;
  ASSERT_EQ(
      run_program({"convert", kDemo, folder / "a", "--kv-heads", "2", "--method", "random", "--seed", "9"})
          .code,
      0);
  ASSERT_EQ(run_program({"convert", "--config", folder / "a/regroup.json", "--output", folder / "b"}).code,
            0);
  EXPECT_EQ(read_text(folder / "a/model.safetensors"), read_text(folder / "b/model.safetensors"));
  EXPECT_EQ(read_json(folder / "b/regroup.json")["options"]["seed"], "9");
}

TEST(ConfigFile, TheProvenanceOfACalibratedRunRepeatsItToo) {
  const TempDir folder;
  write_text(folder / "text", std::string(20000, 'a') + std::string(20000, ' '));
  ASSERT_EQ(run_program({"convert", kDemo, folder / "a", "--kv-heads", "2", "--calibration", folder / "text",
                         "--calibration-tokens", "2048", "--refit", "ridge"})
                .code,
            0);
  ASSERT_EQ(run_program({"convert", "--config", folder / "a/regroup.json", "--output", folder / "b"}).code,
            0);
  EXPECT_EQ(read_text(folder / "a/model.safetensors"), read_text(folder / "b/model.safetensors"));
  EXPECT_EQ(read_json(folder / "b/regroup.json")["result"]["refits"].size(), 4u);
}

TEST(Inspect, ShowsHeadsForPeopleAndPrograms) {
  const TempDir folder;
  const Ran text =
      run_program({"inspect", kDemo, "--heads", "--kv-heads", "4", "--report", folder / "h.html"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_CONTAINS(text.out, "groups at 4 key/value heads");
  EXPECT_CONTAINS(read_text(folder / "h.html"), "</html>");
  const Ran json = run_program({"inspect", kDemo, "--heads", "--method", "mean", "--json"});
  EXPECT_EQ(parse_json(json.out, "stdout")["method"], "mean");
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--heads", "--report", folder / "h.html"}), "--overwrite");
}

TEST(Inspect, RefusesOptionsOfTheOtherView) {
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--kv-heads", "2"}), "Give --heads too");
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--method", "mean"}), "Give --heads too");
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--report", "h.html"}), "Give --heads too");
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--heads", "--context", "9"}), "--context");
  EXPECT_CONTAINS(refused({"inspect", kDemo, "--heads", "--batch", "9"}), "--batch");
}

TEST(Convert, WritesNothingWhenItRefuses) {
  const TempDir folder;
  EXPECT_CONTAINS(refused({"convert", kDemo, folder / "out", "--kv-heads", "3"}), "one of 8, 4, 2, 1");
  EXPECT_CONTAINS(refused({"convert", kDemo, folder / "missing/out", "--kv-heads", "2"}), "missing");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace regroup
