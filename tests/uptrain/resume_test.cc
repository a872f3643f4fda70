// A run that is killed at random moments and resumed ends with the bytes of one that was never stopped. Runs
// the program itself on the demo checkpoint, a few tokens at a time.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "tests/support/expect_error.h"
#include "tests/support/program.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;
using testing::Ran;
using testing::run_program;
using testing::TempDir;

// Threads that wait for each other in a loop would take the processor from each other on a busy machine.
[[maybe_unused]] const int kPatient = ::setenv("OMP_WAIT_POLICY", "passive", 1);

const fs::path kModel = fs::path(REGROUP_SOURCE_DIR) / "demo/kjv-mha";

std::string random_text(int words, std::uint64_t seed = 0) {
  RandomStream random(seed, "words");
  std::string text;
  for (int i = 0; i < words; ++i) {
    text += i % 12 ? ' ' : '\n';
    text.append(1 + random.below(7), static_cast<char>('a' + random.below(26)));
  }
  return text;
}

void write_text_data(const TempDir& folder) {
  write_text(folder / "text", random_text(4000));
  write_text(folder / "valid", random_text(200, 1));
}

std::vector<std::string> arguments(const TempDir& folder, const std::string& out) {
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

pid_t start_program(std::vector<std::string> words, const fs::path& log = "/dev/null") {
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

std::int64_t lines_of(const fs::path& path) {
  if (!fs::exists(path)) return 0;
  const std::string text = read_text(path);
  return std::ranges::count(text, '\n');
}

// Runs the program until its metrics have `lines` lines and a moment longer, and kills it; false if it had
// ended by itself before. By lines and not by the clock, so that a busy machine is no excuse.
bool run_and_kill(const std::vector<std::string>& words, const fs::path& metrics, std::int64_t lines,
                  double moment) {
  const pid_t child = start_program(words);
  // Metrics of an earlier process stand there until the program cuts them back to its state.
  const auto inode = [&] {
    struct stat status {};
    return ::stat(metrics.c_str(), &status) == 0 ? status.st_ino : 0;
  };
  const auto before = inode();
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (inode() == before || lines_of(metrics) < lines) continue;
    std::this_thread::sleep_for(std::chrono::duration<double>(moment));
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    break;
  }
  return WIFSIGNALED(status);
}

// The lines without what a clock had a say in.
std::vector<Json> metrics_of(const fs::path& out) {
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

std::map<std::string, std::string> files_of(const fs::path& out) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(out)) {
    const std::string name = fs::relative(entry.path(), out).string();
    const bool has_times = name == "metrics.jsonl" || name == "regroup.json" || name == "training.html" ||
                           name.ends_with("state.json");
    if (entry.is_regular_file() && !has_times) files[name] = read_text(entry.path());
  }
  return files;
}

TEST(Resume, KilledAtRandomMomentsItEndsWithTheSameBytes) {
  const TempDir folder;
  write_text_data(folder);
  const Ran whole = run_program(arguments(folder, "whole"));
  ASSERT_EQ(whole.code, 0) << whole.err;

  auto resumed = arguments(folder, "stopped");
  resumed.push_back("--resume");
  RandomStream random(std::random_device{}(), "kills");
  int kills = 0;
  for (std::int64_t lines = 1; !fs::exists(folder / "stopped/config.json"); ++lines) {
    ASSERT_LT(lines, 100) << "it ends without a model";
    kills += run_and_kill(resumed, folder / "stopped/metrics.jsonl", lines, 0.05 * random.uniform());
  }
  EXPECT_GE(kills, 15);  // nearer to 24 on a machine with time
  const auto expected = files_of(folder / "whole"), found = files_of(folder / "stopped");
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [name, bytes] : expected) EXPECT_TRUE(found.at(name) == bytes) << name;
  EXPECT_EQ(metrics_of(folder / "whole"), metrics_of(folder / "stopped"));
  EXPECT_EQ(metrics_of(folder / "whole").size(), 24);
}

TEST(Resume, ADiskThatFillsDuringASaveCostsNoState) {
  const TempDir folder;
  write_text_data(folder);
  ASSERT_EQ(run_program(arguments(folder, "whole")).code, 0);
  auto words = arguments(folder, "out");
  words.push_back("--resume");
  ASSERT_TRUE(run_and_kill(words, folder / "out/metrics.jsonl", 7, 0));
  const auto states = [&] {
    std::map<std::string, std::string> files = files_of(folder / "out/checkpoints");
    std::erase_if(files, [](const auto& file) { return file.first.starts_with('.'); });
    return files;
  };
  const auto before = states();
  ASSERT_FALSE(before.empty());
  // No file may grow beyond 64 KiB: writing fails as it does on a full disk.
  const Ran ran = run_program(words, "trap '' XFSZ; ulimit -f 128; ");
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_CONTAINS(ran.err, "state.safetensors");
  EXPECT_TRUE(states() == before);
  EXPECT_FALSE(fs::exists(folder / "out/config.json"));
  ASSERT_EQ(run_program(words).code, 0);
  EXPECT_TRUE(read_text(folder / "out/model.safetensors") == read_text(folder / "whole/model.safetensors"));
}

std::vector<std::string> with_steps(std::vector<std::string> words, const std::string& steps) {
  *std::next(std::ranges::find(words, "--steps")) = steps;
  return words;
}

// A budget may be cut short, or made longer, while the rate is at its peak; what was left to us stays as it
// was.
TEST(Resume, ABudgetIsChangedAtThePeak) {
  const TempDir folder;
  write_text_data(folder);
  for (const char* steps : {"14", "40"}) {
    const std::string out = std::string("to-") + steps;
    auto words = arguments(folder, out);
    ASSERT_TRUE(run_and_kill(words, folder / out / "metrics.jsonl", 9, 0));
    words = with_steps(words, steps);
    words.push_back("--resume");
    const Ran ran = run_program(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    const Json record = read_json(folder / out / "regroup.json");
    EXPECT_EQ(record["steps"], std::stoi(steps));
    const auto changed = record["extended_at"].get<std::int64_t>();
    EXPECT_GE(changed, 8);
    const auto lines = metrics_of(folder / out);
    ASSERT_EQ(lines.size(), std::stoul(steps));
    for (std::int64_t step = 2; step <= changed; ++step)
      EXPECT_EQ(lines[static_cast<std::size_t>(step - 1)]["learning_rate"], 1e-3) << step;
    EXPECT_LT(lines.back()["learning_rate"], 0.3e-3);
  }
}

TEST(Resume, ABudgetIsNotChangedInItsDecay) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_TRUE(run_and_kill(words, folder / "out/metrics.jsonl", 19, 0));
  words.push_back("--resume");
  const Ran longer = run_program(with_steps(words, "40"));
  EXPECT_EQ(longer.code, 2);
  EXPECT_CONTAINS(longer.err, "steps was 24, is 40, and the learning rate is not at its peak after step 1");
  const Ran over = run_program(with_steps(words, "5"));
  EXPECT_EQ(over.code, 2);
  EXPECT_CONTAINS(over.err, "steps are done already");
}

// "memory: 1.5 GiB = …"
double announced_memory(const std::string& log) {
  const auto begin = log.find("memory: ");
  if (begin == std::string::npos) return 0;
  std::istringstream words(log.substr(begin + 8));
  double value = 0;
  std::string unit;
  words >> value >> unit;
  return value * (unit == "GiB" ? 1 << 30 : 1 << 20);
}

std::vector<std::string> large_step(const TempDir& folder) {
  return {"uptrain",
          kModel.string(),
          "--data",
          (folder / "text").string(),
          "--out",
          (folder / "out").string(),
          "--steps",
          "2",
          "--sequence-length",
          "256",
          "--batch-tokens",
          "16384",
          "--micro-batch",
          "64",
          "--precision",
          "fp32",
          "--threads",
          "2"};
}

struct Memory {
  double announced = 0, peak = 0;  // bytes
};

Memory memory_of(const std::vector<std::string>& words, const TempDir& folder) {
  const pid_t child = start_program(words, folder / "log");
  int status = 0;
  struct rusage usage {};
  ::wait4(child, &status, 0, &usage);
  const std::string log = read_text(folder / "log");
  EXPECT_EQ(status, 0) << log;
  return {announced_memory(log), 1024.0 * static_cast<double>(usage.ru_maxrss)};
}

TEST(Resume, MemoryIsWhatWasAnnouncedAndRecomputingTakesLessAndChangesNoByte) {
  const TempDir folder;
  write_text(folder / "text", random_text(9000));
  auto words = large_step(folder);
  const Memory kept = memory_of(words, folder);
  EXPECT_NEAR(kept.announced / kept.peak, 1, 0.2);
  EXPECT_GT(kept.peak, 600 << 20);
  const std::string expected = read_text(folder / "out/model.safetensors");
  words.insert(words.end(), {"--recompute", "--overwrite"});
  const Memory recomputed = memory_of(words, folder);
  EXPECT_NEAR(recomputed.announced / recomputed.peak, 1, 0.2);
  EXPECT_LT(recomputed.peak, 0.7 * kept.peak);
  EXPECT_TRUE(expected == read_text(folder / "out/model.safetensors"));
}

TEST(Resume, WhatARunLeaves) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_EQ(run_program(words).code, 0);
  const Json provenance = read_json(folder / "out/regroup.json");
  EXPECT_EQ(provenance["options"]["steps"], "24");
  EXPECT_EQ(provenance["steps"], 24);
  EXPECT_EQ(provenance["tokens"], 24 * 128);
  EXPECT_EQ(provenance["inputs"]["model"].size(), 1);
  const Json record = read_json(folder / "out/training_record.json");
  EXPECT_EQ(record["pretraining_tokens"], 4444160);
  EXPECT_EQ(record["uptraining_tokens"], 24 * 128);
  EXPECT_EQ(read_text(folder / "out/tokenizer.model"), read_text(kModel / "tokenizer.model"));
  EXPECT_EQ(read_json(folder / "out/config.json"), read_json(kModel / "config.json"));
  EXPECT_FALSE(fs::exists(folder / "out/.lock"));

  const std::string again = run_program(words).err;
  EXPECT_CONTAINS(again, "holds a finished model");
  // The provenance file is a configuration file: it repeats the run.
  const Ran repeated = run_program({"uptrain", "--config", (folder / "out/regroup.json").string(), "--out",
                                    (folder / "repeated").string(), "--quiet"});
  ASSERT_EQ(repeated.code, 0) << repeated.err;
  EXPECT_TRUE(read_text(folder / "repeated/model.safetensors") ==
              read_text(folder / "out/model.safetensors"));
}

TEST(Resume, AChangedOptionIsRefusedByName) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_EQ(run_program(words).code, 0);
  fs::remove(folder / "out/config.json");  // as if it had been stopped just before the end
  words.insert(words.end(), {"--resume", "--lr", "0.5"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "lr was 0.001, is 0.5");
}

TEST(Resume, TheModelItselfIsNoPlaceForTheResult) {
  const TempDir folder;
  write_text_data(folder);
  fs::copy(kModel, folder / "model");
  auto words = arguments(folder, "model");
  words[1] = (folder / "model").string();
  words.push_back("--overwrite");
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "--out is the model that is to be trained");
  EXPECT_TRUE(fs::exists(folder / "model/tokenizer.model"));
}

TEST(Resume, EveryRecipeInConfigsIsOneThatTheProgramTakes) {
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(REGROUP_SOURCE_DIR) / "configs/uptrain")) {
    const Ran ran = run_program({"uptrain", "--config", entry.path().string()});
    EXPECT_EQ(ran.code, 2);
    EXPECT_CONTAINS(ran.err, "model, --data, --out");
    ++recipes;
  }
  EXPECT_GT(recipes, 0);
}

TEST(Resume, ALossThatIsNotFiniteNamesTheStepAndTheLastState) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--lr", "1e30", "--warmup", "0", "--clip", "0"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "are not both finite; the last good state is ");
  EXPECT_CONTAINS(ran.err, "step ");
  EXPECT_FALSE(fs::exists(folder / "out/config.json"));
}

std::vector<std::string> with_teacher(const TempDir& folder, const std::string& out) {
  auto words = arguments(folder, out);
  words.insert(words.end(), {"--teacher", kModel.string()});
  return words;
}

// Waits for the first line of metrics, then asks the program to stop; its exit code.
int run_and_ask_to_stop(const std::vector<std::string>& words, const fs::path& metrics) {
  const pid_t child = start_program(words);
  while (!fs::exists(metrics) || fs::file_size(metrics) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Resume, ASignalSavesTheStateAndStops) {
  const TempDir folder;
  write_text_data(folder);
  auto whole = with_teacher(folder, "whole");
  whole.insert(whole.end(), {"--match-fraction", "0.25", "--skip-outliers", "6"});
  ASSERT_EQ(run_program(whole).code, 0);

  auto stopped = whole;
  *std::ranges::find(stopped, (folder / "whole").string()) = (folder / "stopped").string();
  *(std::ranges::find(stopped, "--save-every") + 1) = "100";
  ASSERT_EQ(run_and_ask_to_stop(stopped, folder / "stopped/metrics.jsonl"), 5);
  EXPECT_FALSE(fs::exists(folder / "stopped/config.json"));
  EXPECT_FALSE(fs::is_empty(folder / "stopped/checkpoints"));
  stopped.push_back("--resume");
  ASSERT_EQ(run_program(stopped).code, 0);
  EXPECT_TRUE(read_text(folder / "whole/model.safetensors") ==
              read_text(folder / "stopped/model.safetensors"));
  EXPECT_EQ(metrics_of(folder / "whole"), metrics_of(folder / "stopped"));
}

TEST(Resume, ATimeLimitSavesTheStateAndStops) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--time-limit", "0.00001"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 5);
  EXPECT_CONTAINS(ran.out, "--resume goes on");
  EXPECT_TRUE(fs::exists(folder / "out/checkpoints/step-1/state.json"));
  EXPECT_FALSE(fs::exists(folder / "out/config.json"));
}

TEST(Resume, WhatWasLearntFromATeacherIsRecorded) {
  const TempDir folder;
  write_text_data(folder);
  ASSERT_EQ(run_program(with_teacher(folder, "out")).code, 0);
  std::istringstream lines(read_text(folder / "out/metrics.jsonl"));
  std::string line;
  std::getline(lines, line);
  const Json first = parse_json(line, "metrics");
  // The model is its own teacher here.
  EXPECT_NEAR(first.at("kl").get<double>(), 0, 1e-3);
  EXPECT_GT(first.at("loss").get<double>(), 1);
  const Json provenance = read_json(folder / "out/regroup.json");
  EXPECT_EQ(provenance["resolved"]["loss"], "kl");
  EXPECT_EQ(provenance["inputs"]["teacher"].size(), 1);
  EXPECT_GT(provenance["flops"].get<double>(), 0);
}

TEST(Resume, ATeacherThatDoesNotFitIsRefused) {
  const TempDir folder;
  write_text_data(folder);
  const auto refused = [&](std::vector<std::string> more) {
    auto words = arguments(folder, "out");
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = run_program(words);
    EXPECT_EQ(ran.code, 2);
    EXPECT_FALSE(fs::exists(folder / "out"));
    return ran.err;
  };
  EXPECT_CONTAINS(refused({"--loss", "kl"}), "there is nothing to learn from");
  EXPECT_CONTAINS(refused({"--match-fraction", "0.5"}), "there is nothing to learn from");
  EXPECT_CONTAINS(refused({"--loss", "cross-entropy", "--teacher", kModel.string()}),
                  "does not look at a teacher");
  EXPECT_CONTAINS(refused({"--loss", "hinge"}), "cross-entropy, kl, attention");
  fs::copy(kModel, folder / "other");
  write_text(folder / "tokenizer", "another");
  fs::rename(folder / "tokenizer", folder / "other/tokenizer.model");
  fs::remove(folder / "other/tokenizer.json");
  EXPECT_CONTAINS(refused({"--teacher", (folder / "other").string()}), "the teacher's tokenizer is another");
  const fs::path other_words = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama/attention_bias";
  EXPECT_CONTAINS(refused({"--teacher", other_words.string()}), "the teacher's vocabulary is another");
}

TEST(Resume, OnlyWhatIsTrainedChanges) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--train", R"(layers\.0\.self_attn\.k_proj)"});
  ASSERT_EQ(run_program(words).code, 0);
  const std::string before = read_text(kModel / "model.safetensors"),
                    after = read_text(folder / "out/model.safetensors");
  ASSERT_EQ(before.size(), after.size());
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != after[i];
  EXPECT_GT(changed, 100);
  EXPECT_LE(changed, 2 * 128 * 128) << "one key projection in bfloat16";
}

TEST(Resume, ValidationTextThatWasTrainedOnIsRefused) {
  const TempDir folder;
  write_text(folder / "text", random_text(4000));
  write_text(folder / "valid", random_text(200));
  const Ran ran = run_program(arguments(folder, "out"));
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "stand in the training text too");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(Resume, CurvesAreKept) {
  const TempDir folder;
  write_text_data(folder);
  auto words = with_teacher(folder, "out");
  // Its own teacher is at no distance, until it learns something else as well.
  words.insert(words.end(), {"--tensorboard", "--cross-entropy-share", "0.5"});
  ASSERT_EQ(run_program(words).code, 0);
  const std::string page = read_text(folder / "out/training.html");
  EXPECT_CONTAINS(page, "Distance to the teacher");
  EXPECT_CONTAINS(page, "<svg");
  EXPECT_EQ(page.find("First stage"), std::string::npos);
  ASSERT_TRUE(fs::exists(folder / "out/tensorboard"));
  const auto file = fs::directory_iterator(folder / "out/tensorboard")->path();
  EXPECT_TRUE(file.filename().string().starts_with("events.out.tfevents."));
  EXPECT_GT(fs::file_size(file), 24 * 100);
}

TEST(Resume, DocumentsAndWeightsDecideWhatIsRead) {
  const TempDir folder;
  write_text_data(folder);
  write_text(folder / "more", random_text(300, 2) + "\n<|endoftext|>\n" + random_text(300, 3));
  const auto loss_of_first_step = [&](std::vector<std::string> more) {
    auto words = arguments(folder, "out");
    words.insert(words.begin() + 4, (folder / "more").string());
    words.insert(words.end(), {"--overwrite"});
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = run_program(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return metrics_of(folder / "out").front();
  };
  const auto joined = loss_of_first_step({});
  EXPECT_EQ(joined, loss_of_first_step({"--documents", "joined"}));
  EXPECT_NE(joined, loss_of_first_step({"--documents", "apart"}));
  EXPECT_NE(joined, loss_of_first_step({"--data-weights", "1", "3"}));
}

}  // namespace
}  // namespace regroup::uptrain
