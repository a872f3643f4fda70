// How much of a disk a run takes, said before it starts.
#pragma once

#include <cstdint>
#include <filesystem>

#include "uptrain/parameters.h"

namespace regroup::uptrain {

// What a run leaves on the disk while it goes on.
struct RoomQuestion {
  Counts weights;
  std::int64_t keep = 0;   // states, besides the best
  std::int64_t saves = 0;  // at most so many are made
  bool validates = false;  // there is a best one
  double result = 0;       // bytes of the finished weights
};

// In bytes. The states that are kept, and the one that is written before an older one goes.
struct Room {
  std::int64_t states = 0;
  double state = 0, result = 0;
  double total() const { return static_cast<double>(states) * state + result; }
};

Room room_of(const RoomQuestion& question);

// Bytes that are free for a run in OUT: what its disk has left, and what its own states hold already.
double available_room(const std::filesystem::path& out);

// UserError where there is not enough.
void require_room(const std::filesystem::path& out, const Room& room, double available);

}  // namespace regroup::uptrain
