// Progress of a long job: what, how far, how fast, how long still. On a terminal one line that rewrites
// itself; elsewhere a plain line now and then, so that logs stay readable. Silent under --quiet and for jobs
// that end within a second.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace regroup {

class Progress {
 public:
  // `unit` is what `total` counts: "B" (printed as MiB, GiB) or a word such as "tokens".
  Progress(std::string what, double total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Safe to call from several threads.
  void advance(double amount);

 private:
  void show(std::chrono::steady_clock::time_point now);

  std::mutex mutex_;
  std::string what_, unit_;
  double total_, done_ = 0;
  bool terminal_, shown_ = false;
  std::chrono::steady_clock::time_point start_, next_;
};

}  // namespace regroup
