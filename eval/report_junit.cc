// Gates as test cases, in the XML that CI services read (JUnit's, as Jenkins documents its schema).
#include <fmt/format.h>

#include <algorithm>

#include "core/base/json.h"
#include "core/report/html.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/report.h"
#include "eval/task_report.h"

namespace regroup::eval {
namespace {

// For a quoted attribute. XML 1.0 has no way to write control characters, and no bytes that are no UTF-8.
std::string attribute(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char byte) { return byte < 0x20; }, ' ');
  return report::html_escape(parse_json(to_text(Json(text)), "text").get<std::string>());
}

std::string property(std::string_view name, const std::string& value) {
  return fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, attribute(value));
}

// What does not pass, as its only element: a gate that cannot tell is an error of the measurement.
std::string complaint(const ModelResult& model, const Result& result, std::size_t gate) {
  const GateDecision& decision = model.gates[gate];
  if (decision.verdict == Verdict::kPass) return "";
  const std::string advice = advice_sentence(decision, result.gates[gate]);
  return fmt::format(
      "      <{0} type=\"{1}\" message=\"{2}\"/>\n", decision.verdict == Verdict::kFail ? "failure" : "error",
      verdict_name(decision.verdict),
      attribute(decision_sentence(model, result, gate) + (advice.empty() ? "" : " " + advice)));
}

std::string test_case(const ModelResult& model, const Result& result, std::size_t gate) {
  const Gate& asked = result.gates[gate];
  const std::string open =
      fmt::format("    <testcase classname=\"{}\" name=\"{}\"", attribute(model.facts.name),
                  attribute(fmt::format("{} {:.6g}{}", kind_of(asked).flag, asked.budget,
                                        asked.task.empty() ? "" : " " + asked.task)));
  const std::string inside = complaint(model, result, gate);
  return inside.empty() ? open + "/>\n" : open + ">\n" + inside + "    </testcase>\n";
}

std::ptrdiff_t count(const Result& result, Verdict verdict) {
  std::ptrdiff_t all = 0;
  for (const ModelResult& model : result.models)
    all += std::ranges::count(model.gates, verdict, &GateDecision::verdict);
  return all;
}

}  // namespace

std::string report_junit(const Result& result) {
  const std::ptrdiff_t failures = count(result, Verdict::kFail), errors = count(result, Verdict::kCannotTell);
  double seconds = 0;
  for (const ModelResult& model : result.models) seconds += model.load_seconds + model.score_seconds;
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3f}\"",
                  count(result, Verdict::kPass) + failures + errors, failures, errors, seconds);
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  xml += fmt::format("<testsuites {0}>\n  <testsuite name=\"regroup eval\" {0}>\n    <properties>\n", counts);
  xml += property("source", result.models.front().facts.name);
  if (result.scored_tokens > 0) xml += property("convention", result.convention);
  xml += property("measurement", measurement_sentence(result));
  if (result.scored_tokens > 0) xml += property("errors", result.cluster_summary);
  if (result.baseline) xml += property("baseline", result.baseline->path.string());
  if (!result.tasks.empty()) xml += property("tasks", source_task_sentence(result));
  for (const ModelResult& model : result.models)
    for (const std::string& sentence : task_sentences(model, result)) xml += property("task", sentence);
  xml += "    </properties>\n";
  for (const ModelResult& model : result.models)
    for (std::size_t gate = 0; gate < model.gates.size(); ++gate) xml += test_case(model, result, gate);
  return xml + "  </testsuite>\n</testsuites>\n";
}

}  // namespace regroup::eval
