// metrics.jsonl: one object a step, readable while the run goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "core/base/file.h"
#include "core/report/event_file.h"

namespace regroup::uptrain {

struct StepMetrics {
  std::int64_t step = 0, tokens = 0;  // tokens: of all steps so far
  double loss = 0, learning_rate = 0, gradient_norm = 0;
  double tokens_per_second = 0, mfu = 0, seconds = 0;  // of this step
  std::optional<double> kl = {};                       // to the teacher, nats per token
  std::optional<double> validation_loss = {};
  bool matching = false;  // a step of the first stage: `loss` is then the relative error of attention outputs
  bool skipped = false;   // an outlier: the weights are as they were
};

class MetricsFile {
 public:
  // Keeps the lines of steps up to `last_step` (a resumed run repeats the later ones) and appends after them.
  // `tensorboard` is a folder for event files; empty: none.
  MetricsFile(const std::filesystem::path& path, std::int64_t last_step,
              const std::filesystem::path& tensorboard = {});
  void append(const StepMetrics& metrics);

 private:
  File file_;
  std::optional<report::EventFile> events_;
};

}  // namespace regroup::uptrain
