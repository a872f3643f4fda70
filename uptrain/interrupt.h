// Requests from outside to stop.
#pragma once

namespace regroup::uptrain {

// While one exists, SIGTERM and SIGINT ask for a stop instead of ending the program; the second one ends it.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool requested() const;
};

}  // namespace regroup::uptrain
