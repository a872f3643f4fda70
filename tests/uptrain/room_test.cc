#include "uptrain/room.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::uptrain {
namespace {

using testing::TempDir;

constexpr double kGiB = 1 << 30;

RoomQuestion question() {
  constexpr std::int64_t kBillion = 1 << 30;
  return {.weights = {kBillion, kBillion, kBillion}, .keep = 2, .saves = 10, .result = 2 * kGiB};
}

TEST(Room, IsForWhatIsKeptAndTheOneThatIsWritten) {
  EXPECT_EQ(room_of(question()).total(), (3 * 12 + 2) * kGiB);
  RoomQuestion validated = question();
  validated.validates = true;
  EXPECT_EQ(room_of(validated).total(), (4 * 12 + 2) * kGiB);
  validated.keep = 1'000'000;
  EXPECT_EQ(room_of(validated).states, 10) << "no more than are saved";
}

TEST(Room, WeightsThatAreNotTrainedTakeAThird) {
  RoomQuestion keys = question();
  keys.weights.trained = keys.weights.second_moments = 0;
  EXPECT_EQ(room_of(keys).state, 4 * kGiB);
}

TEST(Room, TooLittleIsRefused) {
  const Room room = room_of(question());
  require_room("out", room, room.total());
  EXPECT_CONTAINS(testing::user_error_of([&] { require_room("out", room, room.total() - kGiB); }),
                  "out: not enough room on its disk: expected 38 GiB for 3 states of 12 GiB and a model of "
                  "2.0 GiB, found 37 GiB. Free some room, give a smaller --keep");
}

TEST(Room, StatesThatAreThereMakeRoomForTheNext) {
  const TempDir folder;
  const double before = available_room(folder / "out");
  EXPECT_GT(before, 0);
  std::filesystem::create_directories(folder / "out/checkpoints/step-1");
  write_text(folder / "out/checkpoints/step-1/state.safetensors", std::string(1 << 20, 'x'));
  EXPECT_NEAR(available_room(folder / "out"), before, 64 << 20);
}

}  // namespace
}  // namespace regroup::uptrain
