#include "uptrain/metrics.h"

#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::uptrain {
namespace {

// The whole lines of steps up to `last_step`; a line cut off by a kill ends them.
std::string lines_up_to(const std::filesystem::path& path, std::int64_t last_step) {
  std::string kept;
  if (last_step == 0 || !std::filesystem::exists(path)) return kept;
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line) && !lines.eof();) {
    const Json json = parse_json(line, path.string());
    if (json.value("step", last_step + 1) > last_step) break;
    kept += line + "\n";
  }
  return kept;
}

// A new file with `text` in the place of the old one, in one step.
File replace(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path partial = path.string() + ".partial";
  std::filesystem::remove(partial);
  File file = File::create(partial);
  file.append(text);
  file.sync();
  std::filesystem::rename(partial, path);
  return file;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<report::Scalar> scalars_of(const StepMetrics& metrics) {
  std::vector<report::Scalar> scalars{{metrics.matching ? "loss/matching" : "loss/train", metrics.loss},
                                      {"optimizer/learning_rate", metrics.learning_rate},
                                      {"optimizer/gradient_norm", metrics.gradient_norm},
                                      {"speed/tokens_per_second", metrics.tokens_per_second},
                                      {"speed/mfu", metrics.mfu}};
  if (metrics.kl) scalars.push_back({"loss/kl", *metrics.kl});
  if (metrics.validation_loss) scalars.push_back({"loss/validation", *metrics.validation_loss});
  return scalars;
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, std::int64_t last_step,
                         const std::filesystem::path& tensorboard)
    : file_(replace(path, lines_up_to(path, last_step))) {
  if (tensorboard.empty()) return;
  std::filesystem::create_directories(tensorboard);
  events_.emplace(tensorboard, now(), last_step + 1);
}

void MetricsFile::append(const StepMetrics& metrics) {
  Json json;
  json["step"] = metrics.step;
  json["tokens"] = metrics.tokens;
  json["loss"] = metrics.loss;
  json["learning_rate"] = metrics.learning_rate;
  json["gradient_norm"] = metrics.gradient_norm;
  json["tokens_per_second"] = metrics.tokens_per_second;
  json["mfu"] = metrics.mfu;
  json["seconds"] = metrics.seconds;
  if (metrics.kl) json["kl"] = *metrics.kl;
  if (metrics.matching) json["matching"] = true;
  if (metrics.skipped) json["skipped"] = true;
  if (metrics.validation_loss) json["validation_loss"] = *metrics.validation_loss;
  file_.append(json.dump() + "\n");
  if (events_) events_->append(metrics.step, now(), scalars_of(metrics));
}

}  // namespace regroup::uptrain
