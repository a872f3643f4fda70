#include "core/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/log.h"
#include "core/base/units.h"

namespace regroup {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kTerminalInterval{200}, kPlainInterval{10000}, kSilence{1000};

}  // namespace

Progress::Progress(std::string what, double total, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(steady_clock::now()),
      next_(start_ + (terminal_ ? kSilence : kPlainInterval)) {}

Progress::~Progress() {
  if (terminal_ && shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::advance(double amount) {
  const std::lock_guard lock(mutex_);
  done_ += amount;
  const auto now = steady_clock::now();
  if (now < next_ || is_quiet()) return;
  next_ = now + (terminal_ ? kTerminalInterval : kPlainInterval);
  show(now);
}

void Progress::show(steady_clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = done_ / std::max(seconds, 1e-9);
  const auto amount = [this](double value) {
    return unit_ == "B" ? human_bytes(value) : fmt::format("{} {}", human_count(value), unit_);
  };
  const std::string line =
      fmt::format("{}: {:.0f}% of {}, {}/s, {} left", what_, 100 * done_ / std::max(total_, 1e-9),
                  amount(total_), amount(rate), human_seconds((total_ - done_) / std::max(rate, 1e-9)));
  if (terminal_) {
    fmt::print(stderr, "\r\x1b[K{}", line);
    std::fflush(stderr);
  } else {
    log_info(line);
  }
  shown_ = true;
}

}  // namespace regroup
