#include "uptrain/report.h"

#include <fmt/format.h>

#include <sstream>
#include <vector>

#include "core/base/file.h"
#include "core/base/units.h"
#include "core/report/html.h"
#include "core/report/line_chart.h"

namespace regroup::uptrain {
namespace {

using report::Series;

std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::vector<Json> lines;
  std::istringstream text(read_text(path));
  for (std::string line; std::getline(text, line);) lines.push_back(parse_json(line, path.string()));
  return lines;
}

// `key` of the steps of one stage, over tokens.
Series curve(const std::vector<Json>& lines, const char* key, const char* label, bool matching = false) {
  Series series{.label = label, .points = {}};
  for (const Json& line : lines)
    if (line.contains(key) && line.value("matching", false) == matching)
      series.points.push_back({line.at("tokens").get<double>(), line.at(key).get<double>()});
  return series;
}

std::string section(const char* title, const char* label, bool logarithmic,
                    const std::vector<Series>& series) {
  const report::LineChart chart{.label = label, .x_label = "tokens", .logarithmic = logarithmic};
  return report::html_section(title, report::line_chart(chart, series));
}

std::string facts(const Json& provenance) {
  const auto entry = [](const char* term, const std::string& text) {
    return report::html_entry(term, report::html_escape(text));
  };
  const Json& resolved = provenance.at("resolved");
  return "<dl>" + entry("Budget", provenance.at("budget").get<std::string>()) +
         entry("Minimised", resolved.at("loss").get<std::string>()) +
         entry("Peak learning rate", fmt::format("{:.1e}, {}", resolved.at("lr").get<double>(),
                                                 resolved.at("schedule").get<std::string>())) +
         entry("Work",
               fmt::format("{} tokens, {}FLOP, {}", human_count(provenance.at("tokens").get<double>()),
                           human_count(provenance.at("flops").get<double>()),
                           human_seconds(provenance.at("seconds").get<double>()))) +
         entry("Processor", provenance.at("cpu").get<std::string>() + " (" +
                                provenance.at("cpu_features").get<std::string>() + ")") +
         "</dl>";
}

}  // namespace

std::string report_html(const std::filesystem::path& metrics, const Json& provenance) {
  const std::vector<Json> lines = lines_of(metrics);
  const std::string body =
      "<h1>Uptraining</h1>" + facts(provenance) +
      section("Loss", "cross-entropy of the next token, nats", false,
              {curve(lines, "loss", "training"), curve(lines, "validation_loss", "validation")}) +
      section("Distance to the teacher", "KL divergence, nats a token", true, {curve(lines, "kl", "KL")}) +
      section("First stage", "relative error of attention outputs", true,
              {curve(lines, "loss", "attention outputs", true)}) +
      section("Learning rate", "learning rate", false, {curve(lines, "learning_rate", "learning rate")}) +
      section("Gradient", "gradient norm before clipping", true, {curve(lines, "gradient_norm", "norm")});
  return report::html_page("Uptraining", report::kLineChartStyle, body);
}

}  // namespace regroup::uptrain
