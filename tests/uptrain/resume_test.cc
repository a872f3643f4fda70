// A run that is stopped, however, and resumed ends with the bytes of one that was never stopped.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <random>
#include <thread>

#include "core/base/output_file.h"
#include "tests/uptrain/training_runs.h"

namespace regroup::uptrain {
namespace {

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

// Without those that hold times, and the lock: a run that is killed between config.json, which is renamed
// into place last, and the end of its own clearing up leaves it, empty.
std::map<std::string, std::string> files_of(const fs::path& out) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(out)) {
    const std::string name = fs::relative(entry.path(), out).string();
    const bool is_left_out = name == "metrics.jsonl" || name == "regroup.json" || name == "training.html" ||
                             name == ".lock" || name.ends_with("state.json");
    if (entry.is_regular_file() && !is_left_out) files[name] = read_text(entry.path());
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

std::vector<std::string> with_steps(std::vector<std::string> words, const std::string& steps) {
  *std::next(std::ranges::find(words, "--steps")) = steps;
  return words;
}

// Stopped after its first step, whatever has a state of its own or decides what is read.
TEST(Resume, WhateverIsTrainedMinimisedAndReadItEndsWithTheSameBytes) {
  const TempDir folder;
  write_text_data(folder);
  write_text(folder / "more", random_text(500, 2));
  const std::string more = (folder / "more").string();
  const std::vector<std::vector<std::string>> all = {
      {"--optimizer", "muon", "--finish", "best"},
      {"--documents", "masked"},
      {"--documents", "apart", "--schedule", "cosine"},
      {"--data", more, "--data-weights", "3", "1", "--skip-outliers", "6"},
      {"--recompute", "--train", "kv", "--kv-lr-multiplier", "2", "--weight-decay", "0.1"},
      {"--teacher", kModel.string(), "--temperature", "2", "--cross-entropy-share", "0.5"},
      {"--teacher", kModel.string(), "--loss", "attention", "--optimizer", "muon", "--train", "attention"}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string whole = fmt::format("whole-{}", i), stopped = fmt::format("stopped-{}", i);
    const auto words = [&](const std::string& out) {
      auto result = with_steps(arguments(folder, out), "4");
      result.insert(result.end(), all[i].begin(), all[i].end());
      return result;
    };
    const Ran once = run_program(words(whole));
    ASSERT_EQ(once.code, 0) << once.err;
    auto parts = words(stopped);
    parts.insert(parts.end(), {"--time-limit", "0.00001"});
    ASSERT_EQ(run_program(parts).code, 5);
    parts = words(stopped);
    parts.push_back("--resume");
    const Ran again = run_program(parts);
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(files_of(folder / whole / "checkpoints").at("step-4/state.safetensors") ==
                files_of(folder / stopped / "checkpoints").at("step-4/state.safetensors"))
        << i;
    EXPECT_TRUE(read_text(folder / whole / "model.safetensors") ==
                read_text(folder / stopped / "model.safetensors"))
        << i;
    EXPECT_EQ(metrics_of(folder / whole), metrics_of(folder / stopped)) << i;
  }
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

// Longer or not, what was matched was matched.
TEST(Resume, AChangedBudgetKeepsTheFirstStage) {
  const TempDir folder;
  write_text_data(folder);
  auto words = with_teacher(folder, "out");
  words.insert(words.end(), {"--match-fraction", "0.25"});
  ASSERT_TRUE(run_and_kill(words, folder / "out/metrics.jsonl", 9, 0));
  words = with_steps(words, "40");
  words.push_back("--resume");
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(read_json(folder / "out/checkpoints/step-40/state.json")["match_steps"], 6);
  auto whole = with_steps(with_teacher(folder, "whole"), "40");
  whole.insert(whole.end(), {"--match-fraction", "0.15"});
  ASSERT_EQ(run_program(whole).code, 0);
  const auto flops = [&](const char* out) {
    return read_json(folder / out / "regroup.json")["flops"].get<double>();
  };
  EXPECT_DOUBLE_EQ(flops("out"), flops("whole"));
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

TEST(Resume, AChangedOptionIsRefusedByName) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_EQ(run_program(words).code, 0);
  fs::remove(folder / "out/config.json");  // as if it had been stopped just before the end
  words.insert(words.end(), {"--resume", "--weight-decay", "0.5"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "weight-decay was 0.0, is 0.5");
}

// A run that diverged is led past that place by these; what was changed, and when, stays on record.
TEST(Resume, RateClippingAndOutliersMayChangeAndAreRecorded) {
  const TempDir folder;
  write_text_data(folder);
  auto words = with_steps(arguments(folder, "out"), "4");
  auto stopped = words;
  stopped.insert(stopped.end(), {"--time-limit", "0.00001"});
  ASSERT_EQ(run_program(stopped).code, 5);
  words.insert(words.end(), {"--resume", "--lr", "0.0005", "--clip", "0.5", "--skip-outliers", "6"});
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_CONTAINS(ran.err, "lr was 0.001, after step 1 it is 0.0005");
  const auto lines = metrics_of(folder / "out");
  EXPECT_EQ(lines[0]["learning_rate"], 1e-3);
  EXPECT_EQ(lines[1]["learning_rate"], 0.5e-3);
  const Json expected = parse_json(R"([{"after_step": 1, "option": "lr", "was": 0.001, "is": 0.0005},
      {"after_step": 1, "option": "clip", "was": 1.0, "is": 0.5},
      {"after_step": 1, "option": "skip-outliers", "was": 0.0, "is": 6.0}])",
                                   "expected");
  EXPECT_EQ(read_json(folder / "out/regroup.json")["changes"], expected);
  EXPECT_EQ(read_json(folder / "out/checkpoints/step-4/state.json")["changes"], expected);
}

TEST(Resume, AnotherProgramOrMachineIsWarnedOf) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--time-limit", "0.00001"});
  ASSERT_EQ(run_program(words).code, 5);
  words.push_back("--resume");
  const Ran same = run_program(words);
  EXPECT_EQ(same.err.find("not to the same bytes"), std::string::npos) << same.err;
  const fs::path file = folder / "out/checkpoints/step-2/state.json";
  Json state = read_json(file);
  state["made_by"]["cpu"] = "Difference Engine";
  write_output_file(file, to_text(state), true);
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_CONTAINS(ran.err, "not to the same bytes: cpu was \"Difference Engine\", is ");
}

TEST(Resume, AFileThatIsReadTwiceCountsTwice) {
  const TempDir folder;
  write_text_data(folder);
  write_text(folder / "more", random_text(500, 2));
  const std::string text = (folder / "text").string(), more = (folder / "more").string();
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--data", more, "--time-limit", "0.00001"});
  auto twice = words;
  twice.insert(twice.end(), {"--data", text});
  ASSERT_EQ(run_program(twice).code, 5);
  words.push_back("--resume");
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "data was ");
  twice.push_back("--resume");
  EXPECT_EQ(run_program(twice).code, 5);
}

// The type of what is written decides nothing of the training; the model's own configuration does.
TEST(Resume, WhatDecidesTheResultIsWhatMustBeTheSame) {
  const TempDir folder;
  write_text_data(folder);
  fs::copy(kModel, folder / "model");
  auto words = arguments(folder, "out");
  words[1] = (folder / "model").string();
  ASSERT_EQ(run_program(words).code, 0);
  fs::remove(folder / "out/config.json");  // as if it had been stopped just before the end
  words.insert(words.end(), {"--resume", "--dtype", "fp32"});
  const std::string config = read_text(folder / "model/config.json");
  Json changed = parse_json(config, "config.json");
  changed["rms_norm_eps"] = 1e-2;
  write_output_file(folder / "model/config.json", to_text(changed), true);
  EXPECT_CONTAINS(run_program(words).err, "model was ");
  write_output_file(folder / "model/config.json", config, true);
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GT(fs::file_size(folder / "out/model.safetensors"),
            3 * fs::file_size(kModel / "model.safetensors") / 2);
}

void flip_last_byte(const fs::path& path) {
  std::string bytes = read_text(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_output_file(path, bytes, true);
}

// What was passed over must not push out what is saved.
TEST(Resume, AStateIsKeptBesideDamagedOnesOfLaterSteps) {
  const TempDir folder;
  write_text_data(folder);
  auto words = with_steps(arguments(folder, "out"), "6");
  ASSERT_EQ(run_program(words).code, 0);
  fs::remove(folder / "out/config.json");  // as if it had been stopped just before the end
  flip_last_byte(folder / "out/checkpoints/step-6/state.safetensors");
  words.push_back("--resume");
  auto stopped = words;
  stopped.insert(stopped.end(), {"--keep", "1", "--time-limit", "0.00001"});
  const Ran ran = run_program(stopped);
  EXPECT_EQ(ran.code, 5) << ran.err;
  EXPECT_CONTAINS(ran.out, "stopped after step 5; its state is saved");
  EXPECT_TRUE(fs::exists(folder / "out/checkpoints/step-5/state.json"));
  EXPECT_FALSE(fs::exists(folder / "out/checkpoints/step-6"));

  for (const auto& state : fs::directory_iterator(folder / "out/checkpoints"))
    flip_last_byte(state.path() / "state.safetensors");
  const Ran lost = run_program(words);
  EXPECT_EQ(lost.code, 2);
  EXPECT_CONTAINS(lost.err, "no state in it can be gone on from");
  EXPECT_EQ(metrics_of(folder / "out").size(), 5);
}

// There is nothing to go on from: it starts anew, and the finished model stays until then.
TEST(Resume, AFinishedModelIsReplacedFromTheFirstStep) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_EQ(run_program(words).code, 0);
  const std::string before = read_text(folder / "out/model.safetensors");
  words.insert(words.end(), {"--resume", "--overwrite"});
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(read_text(folder / "out/model.safetensors") == before);
  EXPECT_FALSE(fs::exists(folder / ".out.replaced"));
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

}  // namespace
}  // namespace regroup::uptrain
