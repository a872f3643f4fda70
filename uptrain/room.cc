#include "uptrain/room.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/units.h"
#include "uptrain/run_directory.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;

double bytes_in(const fs::path& folder) {
  double bytes = 0;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.is_regular_file()) bytes += static_cast<double>(entry.file_size());
  return bytes;
}

}  // namespace

Room room_of(const RoomQuestion& question) {
  const Counts& held = question.weights;
  const std::int64_t states = question.keep + (question.validates ? 1 : 0) + 1;
  return {.states = std::min(states, question.saves),
          .state = 4.0 * static_cast<double>(held.all + held.trained + held.second_moments),
          .result = question.result};
}

double available_room(const fs::path& out) {
  fs::path disk = fs::absolute(out);
  while (!fs::exists(disk)) disk = disk.parent_path();
  return static_cast<double>(fs::space(disk).available) + bytes_in(checkpoints_of(out));
}

void require_room(const fs::path& out, const Room& room, double available) {
  if (room.total() <= available) return;
  throw UserError(
      {.where = out.string(),
       .what = "not enough room on its disk",
       .expected = fmt::format("{} for {} states of {} and a model of {}", human_bytes(room.total()),
                               room.states, human_bytes(room.state), human_bytes(room.result)),
       .found = human_bytes(available),
       .remedy = "Free some room, give a smaller --keep, or name a place on another disk"});
}

}  // namespace regroup::uptrain
