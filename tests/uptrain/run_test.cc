// What a run of the program reads, takes, leaves and refuses.
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>

#include "tests/uptrain/training_runs.h"

namespace regroup::uptrain {
namespace {

TEST(TrainingRun, WhatARunLeaves) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  ASSERT_EQ(run_program(words).code, 0);
  const Json provenance = read_json(folder / "out/regroup.json");
  EXPECT_EQ(provenance["options"]["steps"], "24");
  EXPECT_EQ(provenance["steps"], 24);
  EXPECT_EQ(provenance["tokens"], 24 * 128);
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json"})
    EXPECT_TRUE(provenance["inputs"]["model"].contains((kModel / name).string())) << name;
  const Json record = read_json(folder / "out/training_record.json");
  EXPECT_EQ(record["pretraining_tokens"], 4444160);
  EXPECT_EQ(record["uptraining_tokens"], 24 * 128);
  EXPECT_EQ(read_text(folder / "out/tokenizer.model"), read_text(kModel / "tokenizer.model"));
  EXPECT_EQ(read_json(folder / "out/config.json"), read_json(kModel / "config.json"));
  EXPECT_FALSE(fs::exists(folder / "out/.lock"));
  EXPECT_EQ(provenance["source"]["path"], kModel.string());

  const std::string again = run_program(words).err;
  EXPECT_CONTAINS(again, "holds a finished model");
  // The provenance file is a configuration file: it repeats the run.
  const Ran repeated = run_program({"uptrain", "--config", (folder / "out/regroup.json").string(), "--out",
                                    (folder / "repeated").string(), "--quiet"});
  ASSERT_EQ(repeated.code, 0) << repeated.err;
  EXPECT_TRUE(read_text(folder / "repeated/model.safetensors") ==
              read_text(folder / "out/model.safetensors"));
}

// What was made of what, back to the first conversion.
TEST(TrainingRun, ASecondRunRemembersTheFirst) {
  const TempDir folder;
  write_text_data(folder);
  ASSERT_EQ(run_program(arguments(folder, "out")).code, 0);
  auto words = arguments(folder, "second");
  words[1] = (folder / "out").string();
  ASSERT_EQ(run_program(words).code, 0);
  EXPECT_EQ(read_json(folder / "second/regroup.json")["source"]["provenance"],
            read_json(folder / "out/regroup.json"));
}

// A rate that rises to where it undoes what was learnt.
TEST(TrainingRun, TheModelMayBeThatOfTheBestStep) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  *std::next(std::ranges::find(words, "--validate-every")) = "2";
  words.insert(words.end(), {"--finish", "best", "--lr", "3", "--warmup", "1", "--dtype", "fp32"});
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  std::int64_t best = 0;
  double least = 1e9;
  for (const Json& line : metrics_of(folder / "out")) {
    const double loss = line.value("validation_loss", least);
    if (loss >= least) continue;
    least = loss;
    best = line["step"].get<std::int64_t>();
  }
  ASSERT_LT(best, 24) << "this rate is too low";
  EXPECT_EQ(read_json(folder / "out/regroup.json")["model_of_step"], best);
  EXPECT_EQ(read_json(folder / "out/training_record.json")["uptraining_tokens"], best * 128);
  auto again = arguments(folder, "again");
  again[1] = (folder / "out").string();
  ASSERT_EQ(run_program(again).code, 0);
  EXPECT_NEAR(read_json(folder / "again/regroup.json")["first_validation_loss"].get<double>(), least, 1e-6);
}

TEST(TrainingRun, OnlyWhatIsTrainedChanges) {
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

TEST(TrainingRun, WhatWasLearntFromATeacherIsRecorded) {
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
  EXPECT_EQ(provenance["inputs"]["teacher"], provenance["inputs"]["model"]);
  EXPECT_GT(provenance["flops"].get<double>(), 0);
}

TEST(TrainingRun, CurvesAreKept) {
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

TEST(TrainingRun, DocumentsAndWeightsDecideWhatIsRead) {
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

TEST(TrainingRun, MemoryIsWhatWasAnnouncedAndRecomputingTakesLessAndChangesNoByte) {
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

TEST(TrainingRun, MemoryIsWhatWasAnnouncedWhateverIsTrainedAndMinimised) {
  const TempDir folder;
  write_text(folder / "text", random_text(9000));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--train", "kv"},
        {"--optimizer", "muon"},
        {"--train", "attention", "--freeze-embeddings", "--loss", "kl", "--teacher", kModel.string()},
        {"--loss", "attention", "--teacher", kModel.string()}}) {
    auto words = large_step(folder);
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("--overwrite");
    const Memory memory = memory_of(words, folder);
    EXPECT_NEAR(memory.announced / memory.peak, 1, 0.2) << more[1];
  }
}

TEST(TrainingRun, ALossThatIsNotFiniteNamesTheStepAndTheLastState) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  words.insert(words.end(), {"--lr", "1e30", "--warmup", "0", "--clip", "0"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "are not both finite; the last good state is ");
  EXPECT_CONTAINS(ran.err, "step ");
  EXPECT_CONTAINS(ran.err, "--resume and a smaller --lr or --clip, or with --skip-outliers");
  EXPECT_FALSE(fs::exists(folder / "out/config.json"));
}

TEST(TrainingRun, TheModelItselfIsNoPlaceForTheResult) {
  const TempDir folder;
  write_text_data(folder);
  fs::copy(kModel, folder / "model");
  auto words = arguments(folder, "model");
  words[1] = (folder / "model").string();
  words.push_back("--overwrite");
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "would take the place of what is read");
  EXPECT_TRUE(fs::exists(folder / "model/tokenizer.model"));
}

TEST(TrainingRun, NorIsAFolderThatHoldsWhatIsRead) {
  const TempDir folder;
  write_text_data(folder);
  fs::copy(kModel, folder / "model");
  fs::copy(kModel, folder / "model/teacher");
  for (const char* name : {"text", "valid"}) fs::copy(folder / name, folder / "model" / name);
  const auto refused = [&](std::vector<std::string> more, const char* input) {
    auto words = arguments(folder, "model");
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("--overwrite");
    const Ran ran = run_program(words);
    EXPECT_EQ(ran.code, 2);
    EXPECT_CONTAINS(ran.err, "what is read: found " + (folder / input).string());
  };
  refused({"--teacher", folder / "model/teacher"}, "model/teacher");
  refused({"--data", folder / "model/text"}, "model/text");
  refused({"--valid", folder / "model/valid"}, "model/valid");
}

// What a run with these words more says as it refuses; it leaves nothing.
std::string refusal(const TempDir& folder, const std::vector<std::string>& more) {
  auto words = arguments(folder, "out");
  words.insert(words.end(), more.begin(), more.end());
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_FALSE(fs::exists(folder / "out"));
  return ran.err;
}

TEST(TrainingRun, ATeacherThatDoesNotFitIsRefused) {
  const TempDir folder;
  write_text_data(folder);
  const auto refused = [&](const std::vector<std::string>& more) { return refusal(folder, more); };
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

TEST(TrainingRun, OptionsThatWouldDoNothingAreRefused) {
  const TempDir folder;
  write_text_data(folder);
  const auto refused = [&](const std::vector<std::string>& more) { return refusal(folder, more); };
  EXPECT_CONTAINS(refused({"--temperature", "2"}), "--temperature: does nothing without --loss kl");
  EXPECT_CONTAINS(refused({"--cross-entropy-share", "0.5"}), "does nothing without --loss kl");
}

// Before anything is made that would be in the way of the run that was meant.
TEST(TrainingRun, WhatIsWrongAboutTheDataIsFoundFirst) {
  const TempDir folder;
  write_text_data(folder);
  EXPECT_CONTAINS(refusal(folder, {"--documents", "maskd"}), "joined, masked, apart");
  EXPECT_CONTAINS(refusal(folder, {"--data-weights", "1", "2"}), "--data-weights");
}

TEST(TrainingRun, ADiskWithoutRoomIsSaidBeforeTheFirstStep) {
  const TempDir folder;
  write_text_data(folder);
  auto words = arguments(folder, "out");
  *std::next(std::ranges::find(words, "--steps")) = "1000000000";
  words.insert(words.end(), {"--keep", "1000000000"});
  const Ran ran = run_program(words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "not enough room on its disk");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(TrainingRun, ReadsAPairOfMegatronsByItsPrefix) {
  const TempDir folder;
  write_text_data(folder);
  const std::string pair = (folder / "pair").string();
  ASSERT_EQ(
      run_program({"tokenize", kModel.string(), (folder / "text").string(), pair, "--format", "megatron"})
          .code,
      0);
  auto words = arguments(folder, "out");
  words[3] = pair;
  const Ran ran = run_program(words);
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json data = read_json(folder / "out/regroup.json")["inputs"]["data"];
  EXPECT_TRUE(data.contains(pair + ".idx") && data.contains(pair + ".bin")) << data.dump();
}

// A teacher that has its tokenizer in another kind of file: the names of the ids are compared.
TEST(TrainingRun, ATeacherOfAnotherTokenizerIsRefusedWhateverItsFiles) {
  const TempDir folder;
  write_text_data(folder);
  fs::copy(kModel, folder / "student");
  fs::copy(kModel, folder / "teacher");
  fs::remove(folder / "student/tokenizer.json");
  fs::remove(folder / "teacher/tokenizer.model");
  auto words = arguments(folder, "out");
  words[1] = (folder / "student").string();
  words.insert(words.end(), {"--teacher", (folder / "teacher").string()});
  const Ran same = run_program(words);
  EXPECT_EQ(same.code, 0) << same.err;
  Json json = read_json(folder / "teacher/tokenizer.json");
  Json &the = json["model"]["vocab"]["▁the"], &and_ = json["model"]["vocab"]["▁and"];
  ASSERT_TRUE(the.is_number() && and_.is_number());
  std::swap(the, and_);
  fs::remove(folder / "teacher/tokenizer.json");
  write_text(folder / "teacher/tokenizer.json", json.dump());
  words.push_back("--overwrite");
  EXPECT_CONTAINS(run_program(words).err, "the teacher's tokenizer is another");
}

TEST(TrainingRun, ValidationTextThatWasTrainedOnIsRefused) {
  const TempDir folder;
  write_text(folder / "text", random_text(4000));
  write_text(folder / "valid", random_text(200));
  const Ran ran = run_program(arguments(folder, "out"));
  EXPECT_EQ(ran.code, 2);
  EXPECT_CONTAINS(ran.err, "stand in the training text too");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(TrainingRun, EveryRecipeInConfigsIsOneThatTheProgramTakes) {
  int recipes = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(REGROUP_SOURCE_DIR) / "configs/uptrain")) {
    const Ran ran = run_program({"uptrain", "--config", entry.path().string()});
    EXPECT_EQ(ran.code, 2);
    EXPECT_CONTAINS(ran.err, "model, --data, --out");
    ++recipes;
  }
  EXPECT_GT(recipes, 0);
}

}  // namespace
}  // namespace regroup::uptrain
