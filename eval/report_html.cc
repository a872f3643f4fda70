#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/base/units.h"
#include "core/base/version.h"
#include "core/report/html.h"
#include "eval/baseline.h"
#include "eval/bootstrap.h"
#include "eval/charts.h"
#include "eval/findings.h"
#include "eval/gate.h"
#include "eval/quantization_scale.h"
#include "eval/report.h"
#include "eval/report_losses.h"
#include "eval/task_report.h"
#include "eval/text.h"

namespace regroup::eval {

using report::html_entry;
using report::html_escape;
using report::round_ticks;

namespace {

std::span<const ModelResult> compared(const Result& result) {
  return std::span(result.models).subspan(1);
}

// The range of all values and intervals with some air, wide enough to be told apart in floating point.
Axis axis_around(std::span<const Lane> lanes, std::span<const double> others) {
  std::vector<double> values(others.begin(), others.end());
  for (const Lane& lane : lanes) {
    values.push_back(lane.value);
    if (lane.interval) values.insert(values.end(), {lane.interval->low, lane.interval->high});
  }
  auto [low, high] = std::ranges::minmax(values);
  const double least = 1e-9 * std::max(std::abs(low), std::abs(high));
  const double air = high > low ? std::max(0.04 * (high - low), least) : 0.01;
  return {.low = low - air, .high = high + air, .ticks = {}, .reference = {}, .budget = {}};
}

// A cell breaks before its error or its bracket only: a table of many columns must fit a page.
std::string unbroken(std::string text) {
  for (const auto& [part, joined] : {std::pair(" ± ", " ±\u00a0"), std::pair(" to ", "\u00a0to\u00a0")})
    for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; ++at)
      text.replace(at, std::string_view(part).size(), joined);
  return text;
}

std::string figures_section(const Result& result) {
  const std::vector<Column> columns = table_columns(result);
  std::string html = "<div class=\"wide\"><table>\n<thead><tr>";
  for (const Column& column : columns)
    html += fmt::format("<th{}>{}</th>", column.numeric ? " class=\"num\"" : "", html_escape(column.title));
  html += "</tr></thead>\n<tbody>\n";
  for (const ModelResult& model : result.models) {
    html += "<tr>";
    for (const Column& column : columns)
      html += fmt::format("<td{} data-label=\"{}\">{}</td>", column.numeric ? " class=\"num\"" : "",
                          html_escape(column.title), html_escape(unbroken(column.cell(model, result))));
    html += "</tr>\n";
  }
  html += "</tbody>\n</table></div>\n<p class=\"soft below\">± is one standard error; brackets hold ";
  return html + confidence_text(result.confidence) + " confidence intervals.</p>\n";
}

std::string difference_section(const Result& result) {
  if (compared(result).empty() || result.scored_tokens == 0) return "";
  std::vector<Lane> lanes;
  for (const ModelResult& model : compared(result))
    lanes.push_back({model.facts.name, with_error(*model.difference, 4, true) + " nats",
                     model.difference->value, model.difference->interval, false});
  std::vector<double> marks = {0};
  const Gate* gate = find_gate(result, "max_ppl_ratio");
  if (gate) marks.push_back(std::log(gate->budget));
  Axis axis = axis_around(lanes, marks);
  for (const double at : round_ticks(axis.low, axis.high))
    axis.ticks.push_back({at, std::abs(at) < 1e-12 ? "source" : fmt::format("{:+.3g}", at)});
  axis.reference = Tick{0, ""};
  if (gate) axis.budget = Tick{marks.back(), fmt::format("budget: ratio {:.6g}", gate->budget)};
  return "<p class=\"soft\">Nats per token above the source, on the same tokens. The errors are of the "
         "paired "
         "difference: what is hard for both cancels. Bars are " +
         confidence_text(result.confidence) + " intervals.</p>\n" + lanes_chart(lanes, axis);
}

std::string perplexity_section(const Result& result) {
  if (result.scored_tokens == 0) return "";
  std::vector<Lane> lanes;
  for (const ModelResult& model : result.models)
    lanes.push_back(
        {model.facts.name, with_error(model.perplexity, 3), model.nats.value, model.nats.interval, false});
  Axis axis = axis_around(lanes, {});
  if (std::isfinite(std::exp(axis.high)))
    for (const double at : round_ticks(std::exp(axis.low), std::exp(axis.high)))
      if (at > 0) axis.ticks.push_back({std::log(at), fmt::format("{:.6g}", at)});
  const std::string_view caution =
      compared(result).empty()
          ? ""
          : " To compare models look at the differences: these bars share the text's own luck.";
  return fmt::format("<p class=\"soft\">On a logarithmic axis, with {} intervals.{}</p>\n",
                     confidence_text(result.confidence), caution) +
         lanes_chart(lanes, axis);
}

// Accuracy above or below the source's, a lane for each task and model.
std::string tasks_chart(const Result& result) {
  std::vector<Lane> lanes;
  for (std::size_t t = 0; t < result.tasks.size(); ++t)
    for (const ModelResult& model : compared(result)) {
      const Figure points = scaled(model.tasks[t].accuracies.front().difference.value(), 100);
      lanes.push_back({fmt::format("{}: {}", result.tasks[t].name, model.facts.name),
                       with_error(points, 2, true) + " points", points.value, points.interval, false});
    }
  if (lanes.empty()) return "";
  const Gate* gate = find_gate(result, "max_task_drop");
  std::vector<double> marks = {0};
  if (gate) marks.push_back(-gate->budget);
  Axis axis = axis_around(lanes, marks);
  for (const double at : round_ticks(axis.low, axis.high))
    axis.ticks.push_back({at, std::abs(at) < 1e-9 ? "source" : fmt::format("{:+.3g}", at)});
  axis.reference = Tick{0, ""};
  if (gate) axis.budget = Tick{marks.back(), fmt::format("budget: {:.6g} lower", gate->budget)};
  return "<p class=\"soft\">Accuracy beside the source's on the same examples, in points. Bars are " +
         confidence_text(result.confidence) + " intervals.</p>\n" + lanes_chart(lanes, axis);
}

std::string tasks_section(const Result& result) {
  const std::vector<std::vector<std::string>> rows = task_rows(result);
  if (rows.empty()) return "";
  std::string html = tasks_chart(result) + "<div class=\"wide\"><table>\n";
  for (const std::vector<std::string>& row : rows) {
    const bool head = &row == &rows.front();
    html += head ? "<thead><tr>" : "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      html += fmt::format("<{0}{1} data-label=\"{2}\">{3}</{0}>", head ? "th" : "td",
                          c < 2 ? "" : " class=\"num\"", html_escape(rows.front()[c]),
                          html_escape(unbroken(row[c])));
    html += head ? "</tr></thead>\n<tbody>\n" : "</tr>\n";
  }
  html += "</tbody>\n</table></div>\n<dl>\n";
  for (const TaskFacts& task : result.tasks)
    html += html_entry(task.name, html_escape(fmt::format("{} {} examples, scored as lm-eval does.",
                                                          task.summary, grouped(task.examples))));
  return html + "</dl>\n";
}

std::string along_section(const Result& result) {
  if (result.scored_tokens == 0) return "";
  std::vector<std::string> spans;
  std::int64_t begin = 0;
  for (const std::int64_t end : result.segment_ends) {
    spans.push_back(fmt::format("tokens {} to {}", grouped(begin + 1), grouped(end)));
    begin = end;
  }
  const bool alone = compared(result).empty();
  std::string html =
      alone ? "<p class=\"soft\">Nats per token in equal stretches of the text.</p>\n"
            : "<p class=\"soft\">The difference to the source, nats per token, in equal stretches of the "
              "text: where it hurts. Each picture has its own scale.</p>\n";
  for (const ModelResult& model : result.models) {
    if (!alone && !model.difference) continue;
    html += fmt::format(
        "<figure><h3>{}</h3>\n{}<div class=\"ends\"><span>token 1</span><span>token {}</span></div>"
        "</figure>\n",
        html_escape(model.facts.name), bars_chart(model.along, spans), grouped(result.scored_tokens));
  }
  return html;
}

std::string text_method(const Result& result) {
  std::string html;
  html += html_entry("Convention", fmt::format("<code>{}</code>, W = {}. {}", html_escape(result.convention),
                                               result.window, html_escape(result.convention_summary)));
  html += html_entry(
      "Documents", fmt::format("{}; {}", grouped(result.documents), html_escape(result.document_convention)));
  html += html_entry("Scored", fmt::format("{} of {} tokens in {} windows, {} at a time, {} on {}",
                                           grouped(result.scored_tokens), grouped(result.stream_tokens),
                                           grouped(result.windows), result.batch, html_escape(result.dtype),
                                           html_escape(result.device)));
  html += html_entry("Errors", html_escape(result.cluster_summary));
  if (result.replicates > 0)
    html +=
        html_entry("Bootstrap", fmt::format("{} resamples of the {}s, seed {}", grouped(result.replicates),
                                            html_escape(result.cluster_unit), result.seed));
  return html;
}

std::string method_section(const Result& result) {
  std::string html = "<dl>\n";
  if (result.scored_tokens > 0) html += text_method(result);
  if (!result.tasks.empty())
    html +=
        html_entry("Tasks",
                   "Prompts, ids and scores as lm-eval's definitions have them, zero-shot; examples count as "
                   "independent, and models are compared on the same ones.");
  for (const Gate& gate : result.gates)
    html += html_entry(
        "Gate", fmt::format("Pass when the one-sided {} bound of the {} is within {:.6g}, {} it; fail when "
                            "the other bound is beyond it; else it cannot be told.",
                            confidence_text(gate.confidence), subject_of(gate), gate.budget,
                            kind_of(gate).at_least ? "at least" : "at most"));
  return html + "</dl>\n";
}

std::string provenance_section(const Result& result) {
  std::string html = "<dl>\n";
  html += html_entry("Program",
                     fmt::format("regroup {} (commit {})", html_escape(version()), html_escape(commit())));
  for (const ModelResult& model : result.models) {
    const ModelFacts& facts = model.facts;
    html += html_entry(
        facts.name,
        fmt::format(
            "{}<br><span class=\"soft\">{}, {} parameters in {}, {} layers, {} heads, {} key/value heads"
            "; loaded in {:.1f} s, scored in {:.1f} s</span><br><code>config.json {}</code>{}",
            html_escape(facts.path.string()), html_escape(facts.family),
            human_count(static_cast<double>(facts.parameters)), html_escape(facts.dtype), facts.layers,
            facts.heads, facts.kv_heads, model.load_seconds, model.score_seconds,
            facts.config_sha256.substr(0, 16),
            facts.weights_sha256.empty()
                ? ""
                : "<br><code>weights " + facts.weights_sha256.substr(0, 16) + "</code>"));
  }
  std::vector<DataFile> files = result.files;
  files.insert(files.end(), result.task_files.begin(), result.task_files.end());
  for (const DataFile& file : files)
    html += html_entry("Data",
                       fmt::format("{}<br><code>{}</code>", html_escape(file.path.string()), file.sha256));
  if (result.baseline)
    html += html_entry("Baseline",
                       fmt::format("{}<br><code>{}</code>", html_escape(result.baseline->path.string()),
                                   result.baseline->sha256));
  html += html_entry("Machine", fmt::format("{} ({}), {} threads", html_escape(cpu_name()),
                                            html_escape(cpu_features()), result.threads));
  html += html_entry(
      "Options", "<code>" + html_escape(result.options.dump(-1, ' ', false, Json::error_handler_t::replace)) +
                     "</code>");
  return html + "</dl>\n";
}

struct Section {
  std::string_view title;
  std::string (*body)(const Result& result);  // empty: the section is left out
};

constexpr Section kSections[] = {
    {"Figures", figures_section},
    {"Difference to the source", difference_section},
    {"On the scale of quantizations", scale_html},
    {"Perplexity", perplexity_section},
    {"Tasks", tasks_section},
    {"Along the text", along_section},
    {"Where it hurts", breakdowns_html},
    {"Worst passages", passages_html},
    {"How this was measured", method_section},
    {"Provenance", provenance_section},
};

std::string verdict_class(Verdict verdict) {
  return verdict == Verdict::kCannotTell ? "cannot-tell" : std::string(verdict_name(verdict));
}

std::string item(const std::string& sentence, std::string_view style) {
  return fmt::format("<li class=\"{}\">{}</li>\n", style, html_escape(sentence));
}

std::string header(const Result& result) {
  std::string html = "<header>\n<p class=\"kicker\">regroup evaluation";
  if (!result.date.empty()) html += " · " + html_escape(result.date.substr(0, 10));
  if (result.verdict)
    html += fmt::format(" · <b class=\"{}\">{}</b>", verdict_class(*result.verdict),
                        verdict_name(*result.verdict));
  html += "</p>\n<h1>" + html_escape(headline(result)) + "</h1>\n";
  html += "<p class=\"soft\">" + html_escape(measurement_sentence(result)) + "</p>\n";
  std::string list;
  for (const ModelResult& model : compared(result)) {
    std::vector<std::string> said = task_sentences(model, result);
    if (model.difference)
      for (std::string sentence : {finding(model, result), divergence_sentence(model), scale_sentence(model),
                                   where_sentence(model, result), bootstrap_sentence(model, result),
                                   baseline_sentence(model, result)})
        said.push_back(std::move(sentence));
    for (const std::string& sentence : said)
      if (!sentence.empty() && sentence != headline(result)) list += item(sentence, "");
    for (std::size_t gate = 0; gate < model.gates.size(); ++gate) {
      const GateDecision& decision = model.gates[gate];
      if (decision_sentence(model, result, gate) != headline(result))
        list += item(decision_sentence(model, result, gate), verdict_class(decision.verdict));
      const std::string advice = advice_sentence(decision, result.gates[gate]);
      if (!advice.empty()) list += item(advice, "cannot-tell");
    }
  }
  return html + (list.empty() ? "" : "<ul>\n" + list + "</ul>\n") + "</header>\n";
}

}  // namespace

std::string report_html(const Result& result) {
  std::string body = header(result);
  for (const Section& section : kSections) body += report::html_section(section.title, section.body(result));
  return report::html_page(headline(result), kLossesStyle, body);
}

}  // namespace regroup::eval
