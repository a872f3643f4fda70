#include "uptrain/metrics.h"

#include <gtest/gtest.h>

#include "core/base/json.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::uptrain {
namespace {

using testing::file_bytes;
using testing::TempDir;

StepMetrics of_step(std::int64_t step) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.loss = 2.5;
  return metrics;
}

TEST(Metrics, OneObjectALine) {
  const TempDir folder;
  MetricsFile file(folder / "metrics.jsonl", 0);
  StepMetrics metrics{.step = 1,
                      .tokens = 2,
                      .loss = 3,
                      .learning_rate = 4,
                      .gradient_norm = 5,
                      .tokens_per_second = 6,
                      .mfu = 7,
                      .seconds = 8,
                      .validation_loss = 9};
  file.append(metrics);
  EXPECT_EQ(file_bytes(folder / "metrics.jsonl"),
            R"({"step":1,"tokens":2,"loss":3.0,"learning_rate":4.0,"gradient_norm":5.0,)"
            R"("tokens_per_second":6.0,"mfu":7.0,"seconds":8.0,"validation_loss":9.0})"
            "\n");
}

TEST(Metrics, AResumedRunKeepsTheLinesUpToItsStateOnly) {
  const TempDir folder;
  const auto path = folder / "metrics.jsonl";
  {
    MetricsFile file(path, 0);
    for (std::int64_t step = 1; step <= 5; ++step) file.append(of_step(step));
  }
  const std::string five = file_bytes(path);
  testing::write_file(path, five + R"({"step":6,"lo)");  // cut off by a kill
  {
    MetricsFile file(path, 3);
    file.append(of_step(4));
    file.append(of_step(5));
  }
  EXPECT_EQ(file_bytes(path), five);
  MetricsFile anew(path, 0);
  EXPECT_EQ(file_bytes(path), "");
}

}  // namespace
}  // namespace regroup::uptrain
