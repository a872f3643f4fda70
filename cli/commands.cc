#include <array>

#include "cli/command.h"

namespace regroup::cli {

// Each is defined in the file of its name.
std::span<const Command> commands() {
  static const std::array<Command, 0> all = {};
  return all;
}

}  // namespace regroup::cli
