#include "eval/memory.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/eval/evaluate_fixture.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

using testing::user_error_of;

class Memory : public Evaluate {
 protected:
  std::string log_;
};

TEST_F(Memory, RefusesWhatDoesNotFitIntoMemory) {
  options_.memory = 1;
  EXPECT_CONTAINS(refusal(), "does not fit into the memory of cpu");
}

// Every figure, to the bit; and temporary files have no name.
TEST_F(Memory, LessMemoryChangesNothing) {
  const auto report = [&](std::uint64_t memory) {
    fs::remove_all(folder_ / "out");
    fs::create_directory(folder_ / "out");
    options_.memory = memory;
    options_.json = folder_ / "out/r.json";
    options_.per_token = folder_ / "r.npy";
    options_.overwrite = true;
    ::testing::internal::CaptureStderr();
    evaluate(options_);
    log_ = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "out"), fs::directory_iterator()), 1);
    Json json = read_json(options_.json);
    json.erase("run");
    return std::pair(json, read_text(options_.per_token));
  };
  // Wide and deep enough that layers and hidden states count beside what a batch takes.
  options_.source = folder_ / "deep";
  options_.models = {folder_ / "deep-2"};
  testing::write_tiny_llama({.layers = 4, .hidden = 512, .seed = 1}, options_.source);
  testing::write_tiny_llama({.layers = 4, .hidden = 512, .kv_heads = 2, .seed = 2}, options_.models[0]);
  options_.data = {ids_file("many.bin", 401)};
  options_.batch = 2;
  const auto held = report(0);
  EXPECT_CONTAINS(log_, "a model at a time");
  EXPECT_EQ(log_.find("in a temporary file in"), log_.npos) << log_;
  EXPECT_GT(held.first["models"][1]["statistics"]["kl_divergence"]["value"], 0);

  const family::ModelDirectory source = family::open_model(options_.source);
  const ScoreOptions score{.window = 16, .batch = 2, .dtype = "fp32", .device = "cpu"};
  const std::uint64_t projection = 24 * 512 * 4;  // vocabulary, hidden
  const auto least = report(bytes_by_layers(source, score) + projection);
  EXPECT_CONTAINS(log_, "a layer at a time (a whole model: ");
  EXPECT_CONTAINS(log_, "1.6 MiB of hidden states in a temporary file in " + (folder_ / "out").string());
  EXPECT_EQ(least, held);
}

// Where what may be taken is decided, and what is said of it.
TEST_F(Memory, PlacesWhatItNeeds) {
  std::vector<family::ModelDirectory> models;
  for (const fs::path& path : {options_.source, options_.models[0]})
    models.push_back(family::open_model(path));
  const ScoreOptions score{
      .window = 16, .batch = 2, .dtype = "fp32", .device = "cpu", .scratch = folder_ / ""};
  const std::uint64_t whole = bytes_whole(models[0], score), least = bytes_by_layers(models[0], score),
                      projection = 24 * 12 * 4;
  const auto placed = [&](std::int64_t compared, std::int64_t inputs, std::uint64_t most) {
    const Placement placement = place(models, {.compared = compared, .inputs = inputs}, score, most);
    return std::vector<bool>{placement.by_layers, placement.states_on_disk, placement.streams_on_disk};
  };
  using Flags = std::vector<bool>;
  EXPECT_EQ(placed(0, 10, whole), Flags({false, false, false}));  // nothing is compared
  EXPECT_EQ(placed(10, 10, whole), Flags({true, false, false}));
  EXPECT_EQ(placed(10, 10, whole + projection + 480), Flags({false, false, false}));
  const std::int64_t many = static_cast<std::int64_t>(whole);  // 48 bytes a token: more than a quarter
  EXPECT_EQ(placed(many, 10, whole + projection), Flags({false, true, false}));
  EXPECT_EQ(placed(10, many, whole), Flags({true, false, true}));
  EXPECT_EQ(placed(many, many, least + projection), Flags({true, true, true}));
  EXPECT_CONTAINS(user_error_of([&] { placed(many, many, least); }), "not even a layer at a time");
}

TEST(InputsOf, CountsWhatFillsUpShorterWindows) {
  EXPECT_EQ(inputs_of({}), 0);
  EXPECT_EQ(inputs_of({{.begin = 0, .length = 16}, {.begin = 16, .length = 16}}), 32);
  EXPECT_GE(inputs_of({{.begin = 0, .length = 16}, {.begin = 16, .length = 12}}), 32);
}

}  // namespace
}  // namespace regroup::eval
