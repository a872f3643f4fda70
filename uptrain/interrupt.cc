#include "uptrain/interrupt.h"

#include <csignal>

namespace regroup::uptrain {
namespace {

volatile std::sig_atomic_t requested_ = 0;

void request(int signal) {
  requested_ = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

Interrupt::Interrupt() {
  requested_ = 0;
  std::signal(SIGTERM, request);
  std::signal(SIGINT, request);
}

Interrupt::~Interrupt() {
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
}

bool Interrupt::requested() const {
  return requested_ != 0;
}

}  // namespace regroup::uptrain
