#include "uptrain/state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <tuple>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/random_model.h"
#include "tests/support/temp_dir.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;
using testing::random_weights;
using testing::small_config;
using testing::TempDir;

Parameters make(std::uint64_t seed) {
  return Parameters(random_weights(small_config(), seed, at::kFloat), at::kBFloat16);
}

WeightNames names_of(const Parameters& parameters) {
  WeightNames names;
  for (const Slot& slot : parameters.slots())
    names[slot.key] =
        std::to_string(static_cast<int>(slot.key.first)) + "." + std::to_string(slot.key.second);
  return names;
}

RunState at_step(std::int64_t step, const Json& must_match = {{"lr", 0.1}}) {
  RunState state;
  state.step = step;
  state.tokens = 10 * step;
  state.must_match = must_match;
  return state;
}

void expect_equal(const Parameters& a, const Parameters& b) {
  for (const Slot& slot : a.slots()) {
    EXPECT_TRUE(at::equal(a.master(slot), b.master(slot)));
    EXPECT_TRUE(at::equal(a.first_moment(slot), b.first_moment(slot)));
    EXPECT_TRUE(at::equal(a.second_moment(slot), b.second_moment(slot)));
    EXPECT_TRUE(at::equal(a.compute().at(slot.key), b.compute().at(slot.key)));
  }
}

void damage(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(-1, std::ios::end);
  stream.put('x');
}

std::optional<RunState> resume_state(const fs::path& checkpoints, const Json& must_match,
                                     Parameters& parameters, const WeightNames& names) {
  const auto saved = newest_state(checkpoints);
  return saved ? std::optional(read_state(*saved, must_match, parameters, names)) : std::nullopt;
}

TEST(State, ComesBackAsItWas) {
  const TempDir folder;
  Parameters saved = make(1), loaded = make(2);
  for (const Slot& slot : saved.slots()) {
    saved.first_moment(slot).fill_(0.5);
    saved.second_moment(slot).fill_(0.25);
  }
  RunState state = at_step(7);
  state.seconds = 1.5;
  state.last_loss = 3.25;
  state.first_validation_loss = 4;
  state.least_validation_loss = 2;
  state.extended_at = 5;
  state.match_steps = 2;
  save_state(folder.path(), state, saved, names_of(saved), 2);
  const auto resumed = resume_state(folder.path(), state.must_match, loaded, names_of(loaded));
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->step, 7);
  EXPECT_EQ(resumed->tokens, 70);
  EXPECT_EQ(resumed->seconds, 1.5);
  EXPECT_EQ(resumed->extended_at, 5);
  EXPECT_EQ(resumed->match_steps, 2);
  EXPECT_EQ(resumed->last_loss, 3.25);
  EXPECT_EQ(resumed->first_validation_loss, 4);
  EXPECT_EQ(resumed->least_validation_loss, 2);
  EXPECT_FALSE(resumed->last_validation_loss);
  expect_equal(saved, loaded);
}

TEST(State, TheLastTwoAreKept) {
  const TempDir folder;
  const Parameters parameters = make(1);
  for (const std::int64_t step : {8, 9, 10, 11})
    save_state(folder.path(), at_step(step), parameters, names_of(parameters), 2);
  const auto states = saved_states(folder.path());
  ASSERT_EQ(states.size(), 2);
  EXPECT_EQ(states[0].filename(), "step-11");
  EXPECT_EQ(states[1].filename(), "step-10");
}

TEST(State, TheBestByValidationLossIsKeptToo) {
  const TempDir folder;
  const Parameters parameters = make(1);
  // Step 9 was not validated: what it holds is the loss of step 8, and no better than that one.
  for (const auto& [step, validated, loss] :
       {std::tuple{7, 7, 3.5}, {8, 8, 3.1}, {9, 8, 3.1}, {10, 10, 3.2}, {11, 11, 3.3}, {12, 12, 3.4}}) {
    RunState state = at_step(step);
    state.validated_step = validated;
    state.last_validation_loss = loss;
    save_state(folder.path(), state, parameters, names_of(parameters), 1);
  }
  const auto states = saved_states(folder.path());
  ASSERT_EQ(states.size(), 2);
  EXPECT_EQ(states[0].filename(), "step-12");
  EXPECT_EQ(states[1].filename(), "step-8");
}

TEST(State, TheBestIsFoundAmongThoseThatAreWhole) {
  const TempDir folder;
  const Parameters parameters = make(1);
  EXPECT_FALSE(best_state(folder.path()));
  for (const auto& [step, validated, loss] :
       {std::tuple{7, 7, 3.1}, {8, 8, 3.0}, {9, 8, 3.0}, {10, 10, 3.2}}) {
    RunState state = at_step(step);
    state.validated_step = validated;
    state.last_validation_loss = loss;
    save_state(folder.path(), state, parameters, names_of(parameters), 4);
  }
  EXPECT_EQ(best_state(folder.path())->step(), 8);
  damage(folder / "step-8/state.safetensors");
  EXPECT_EQ(best_state(folder.path())->step(), 7);
}

TEST(State, WeightsThatAreNotTrainedHaveNoMoments) {
  const TempDir folder;
  const auto keys_only = [](const model::WeightKey& key) {
    return Treatment{.trained = key.first == family::Part::kKeyWeight};
  };
  const Parameters saved(random_weights(small_config(), 1, at::kFloat), at::kBFloat16, keys_only);
  Parameters loaded(random_weights(small_config(), 2, at::kFloat), at::kBFloat16, keys_only);
  save_state(folder.path(), at_step(3), saved, names_of(saved), 2);
  ASSERT_TRUE(resume_state(folder.path(), at_step(0).must_match, loaded, names_of(loaded)));
  for (const Slot& slot : saved.slots()) EXPECT_TRUE(at::equal(saved.master(slot), loaded.master(slot)));
  const auto whole = make(1);
  const TempDir other;
  save_state(other.path(), at_step(3), whole, names_of(whole), 2);
  const auto size = [](const TempDir& of) { return fs::file_size(of / "step-3/state.safetensors"); };
  EXPECT_LT(size(folder), size(other) / 2);
}

TEST(State, ADamagedOneIsPassedOverAndMakesRoom) {
  const TempDir folder;
  Parameters five = make(1), six = make(2), loaded = make(3);
  save_state(folder.path(), at_step(5), five, names_of(five), 2);
  save_state(folder.path(), at_step(6), six, names_of(six), 2);
  damage(folder / "step-6/state.safetensors");
  fs::create_directory(folder / ".step-7.partial");  // what a kill during a save leaves
  const auto resumed = resume_state(folder.path(), at_step(0).must_match, loaded, names_of(loaded));
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->step, 5);
  expect_equal(five, loaded);
  remove_states_after(folder.path(), 5);
  EXPECT_EQ(saved_states(folder.path()).size(), 1);
  save_state(folder.path(), at_step(6), six, names_of(six), 1);
  EXPECT_EQ(resume_state(folder.path(), at_step(0).must_match, loaded, names_of(loaded))->step, 6);
}

TEST(State, WhereNoneCanBeUsedThatIsSaid) {
  const TempDir folder;
  Parameters parameters = make(1);
  save_state(folder.path(), at_step(5), parameters, names_of(parameters), 2);
  const fs::path file = folder / "step-5/state.json";
  Json json = read_json(file);
  json["format"] = 1;
  fs::remove(file);
  write_text(file, to_text(json));
  EXPECT_CONTAINS(testing::user_error_of([&] { newest_state(folder.path()); }),
                  "no state in it can be gone on from. Put a whole one back, or start anew with --overwrite");
}

TEST(State, NothingToResumeFromIsNoError) {
  const TempDir folder;
  Parameters parameters = make(1);
  EXPECT_FALSE(resume_state(folder / "none", {}, parameters, names_of(parameters)));
}

TEST(State, ChangedOptionsAreNamed) {
  const TempDir folder;
  Parameters parameters = make(1);
  save_state(folder.path(), at_step(5, {{"lr", 0.1}, {"seed", 3}, {"schedule", "cosine"}}), parameters,
             names_of(parameters), 2);
  const std::string text = testing::user_error_of([&] {
    resume_state(folder.path(), {{"lr", 0.2}, {"seed", 3}, {"schedule", "1-sqrt"}}, parameters,
                 names_of(parameters));
  });
  EXPECT_CONTAINS(text, "lr was 0.1, is 0.2, schedule was \"cosine\", is \"1-sqrt\"");
  EXPECT_EQ(text.find("seed"), std::string::npos);
}

}  // namespace
}  // namespace regroup::uptrain
