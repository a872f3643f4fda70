#include "eval/report_losses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "core/report/html.h"
#include "eval/breakdown.h"
#include "eval/charts.h"
#include "eval/findings.h"
#include "eval/quantization_scale.h"
#include "eval/statistics.h"
#include "eval/text.h"

namespace regroup::eval {

using report::html_escape;

const std::string_view kLossesStyle = R"css(
.passage { margin: 0 0 1.4rem; break-inside: avoid; } .passage figcaption { margin-top: .2rem; overflow-wrap: anywhere; }
.passage blockquote { margin: 0; padding: .5rem .8rem; background: var(--tint); border-left: 3px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; color: var(--soft); }
.passage mark { background: none; color: var(--ink); border-bottom: 2px solid transparent; }
.passage mark.lost { border-bottom-color: var(--bad); } .passage mark.worst { color: var(--bad); font-weight: 600; }
.dot.quiet { fill: var(--soft); }
)css";

namespace {

std::span<const ModelResult> compared(const Result& result) {
  return std::span(result.models).subspan(1);
}

std::string share_text(const PartResult& part, const ModelResult& model, const Result& result) {
  const double all = model.difference->value * static_cast<double>(result.scored_tokens);
  return all > 0 ? fmt::format("{:.0f}%", 100 * part.cost / all) : "";
}

// ---- the scale

std::vector<Lane> scale_lanes(const Result& result) {
  static constexpr double kLeast = 1e-5;  // a logarithm has no zero
  const auto at = [](double kl) { return std::log10(std::max(kl, kLeast)); };
  std::vector<Lane> lanes;
  for (const Quantization& row : quantizations())
    lanes.push_back({.label = std::string(row.name),
                     .note = fmt::format("{:.4f} nats", row.kl),
                     .value = at(row.kl),
                     .interval = {},
                     .quiet = true});
  for (const ModelResult& model : compared(result))
    if (const Figure* kl = find_statistic(model, "kl_divergence")) {
      std::optional<Interval> interval;
      if (kl->interval) interval = Interval{at(kl->interval->low), at(kl->interval->high)};
      lanes.push_back({model.facts.name, with_error(*kl, 4) + " nats", at(kl->value), interval, false});
    }
  std::ranges::stable_sort(lanes, {}, &Lane::value);
  return lanes;
}

// ---- Markdown

// Emphasis does not stand beside a space.
std::string bold(const std::string& text) {
  const std::string inner = markdown_text(text);
  const std::size_t first = inner.find_first_not_of(' '), last = inner.find_last_not_of(' ');
  if (first == std::string::npos) return inner;
  return inner.substr(0, first) + "**" + inner.substr(first, last + 1 - first) + "**" +
         inner.substr(last + 1);
}

std::string parts_markdown(const ModelResult& model, const Breakdown& breakdown,
                           const std::vector<PartResult>& parts, const Result& result) {
  std::string text = fmt::format(
      "\n### {}, {}\n\n{}\n\n| part | tokens | difference to source | of the loss | KL to source | same top, "
      "% |\n"
      "|---|---:|---:|---:|---:|---:|\n",
      markdown_text(model.facts.name), breakdown.title, breakdown.summary);
  for (const PartResult& part : parts)
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", markdown_text(part.label), grouped(part.tokens),
                        with_error(part.difference, 4, true), share_text(part, model, result),
                        part.kl ? with_error(*part.kl, 4) : "",
                        part.same_top ? with_error(scaled(*part.same_top, 100), 1) : "");
  return text;
}

std::string passage_caption(const Passage& passage) {
  const PassageToken& worst = passage.tokens[passage.worst];
  std::string text = fmt::format("{:+.2f} nats in {} token{} from token {} (document {})", passage.lost,
                                 passage.tokens.size(), passage.tokens.size() == 1 ? "" : "s",
                                 grouped(passage.position + 1), grouped(passage.document));
  text += fmt::format("; “{}”: {:.2f} nats, the source {:.2f}", worst.text, worst.nats, worst.source_nats);
  if (!passage.expected.empty())
    text += fmt::format("; expected “{}”, the source “{}”", passage.expected, passage.source_expected);
  return text + ".";
}

std::string passages_markdown(const ModelResult& model) {
  std::string text = fmt::format("\n### {}, worst passages\n", markdown_text(model.facts.name));
  for (const Passage& passage : model.passages) {
    std::string quote = markdown_text(passage.before);
    for (std::size_t i = 0; i < passage.tokens.size(); ++i)
      quote += i == passage.worst ? bold(passage.tokens[i].text) : markdown_text(passage.tokens[i].text);
    text += fmt::format("\n> {}{}\n\n{}\n", quote, markdown_text(passage.after),
                        markdown_text(passage_caption(passage)));
  }
  return text;
}

// ---- HTML

// Around the values; an interval of few clusters may reach beyond and is cut.
Axis axis_of_parts(std::span<const Lane> lanes, double mean) {
  std::vector<double> values = {0, mean};
  for (const Lane& each : lanes) values.push_back(each.value);
  const auto [low, high] = std::ranges::minmax(values);
  const double air = high > low ? 0.3 * (high - low) : 0.01;
  Axis axis{.low = low - air, .high = high + air, .ticks = {}, .reference = Tick{mean, ""}, .budget = {}};
  for (const double at : report::round_ticks(axis.low, axis.high))
    axis.ticks.push_back({at, fmt::format("{:+.3g}", std::abs(at) < 1e-12 ? 0. : at)});
  return axis;
}

std::string parts_chart(const ModelResult& model, const std::vector<PartResult>& parts) {
  std::vector<Lane> lanes;
  for (const PartResult& part : parts)
    lanes.push_back({.label = part.label,
                     .note = fmt::format("{} nats, {} token{}", with_error(part.difference, 4, true),
                                         grouped(part.tokens), part.tokens == 1 ? "" : "s"),
                     .value = part.difference.value,
                     .interval = part.difference.interval,
                     .quiet = false});
  return lanes_chart(lanes, axis_of_parts(lanes, model.difference->value));
}

std::string passage_html(const Passage& passage) {
  std::string quote = html_escape(passage.before);
  for (std::size_t i = 0; i < passage.tokens.size(); ++i) {
    const PassageToken& token = passage.tokens[i];
    const double lost = token.nats - token.source_nats;
    quote += fmt::format("<mark class=\"{}\" title=\"{:.2f} nats, the source {:.2f}\">{}</mark>",
                         i == passage.worst ? "lost worst"
                         : lost > 0.5       ? "lost"
                                            : "",
                         token.nats, token.source_nats, html_escape(token.text));
  }
  return fmt::format(
      "<figure class=\"passage\"><blockquote>{}{}</blockquote><figcaption>{}</figcaption></figure>\n", quote,
      html_escape(passage.after), html_escape(one_line(passage_caption(passage))));
}

}  // namespace

std::string losses_markdown(const Result& result) {
  std::string text;
  for (const ModelResult& model : compared(result)) {
    for (std::size_t row = 0; row < model.parts.size(); ++row)
      if (!model.parts[row].empty())
        text += parts_markdown(model, breakdowns()[row], model.parts[row], result);
    if (!model.passages.empty()) text += passages_markdown(model);
  }
  return text.empty() ? "" : "\n## Where it hurts\n" + text;
}

std::string breakdowns_html(const Result& result) {
  std::string html;
  for (const ModelResult& model : compared(result))
    for (std::size_t row = 0; row < model.parts.size(); ++row)
      if (!model.parts[row].empty())
        html += fmt::format("<figure><h3>{}, {}</h3>\n<p class=\"soft\">{}</p>\n{}</figure>\n",
                            html_escape(model.facts.name), breakdowns()[row].title, breakdowns()[row].summary,
                            parts_chart(model, model.parts[row]));
  if (html.empty()) return "";
  return "<p class=\"soft\">The difference to the source, nats per token, in parts of the text; the line is "
         "the mean over all. Bars are " +
         confidence_text(result.confidence) + " intervals, cut where they leave the picture.</p>\n" + html;
}

std::string passages_html(const Result& result) {
  std::string html;
  for (const ModelResult& model : compared(result)) {
    if (model.passages.empty()) continue;
    html += fmt::format("<h3>{}</h3>\n", html_escape(model.facts.name));
    for (const Passage& passage : model.passages) html += passage_html(passage);
  }
  if (html.empty()) return "";
  return "<p class=\"soft\">Where most is lost against the source within a few tokens. Underlined tokens "
         "cost "
         "half a nat or more, the worst is in colour.</p>\n" +
         html;
}

std::string scale_html(const Result& result) {
  const std::vector<Lane> lanes = scale_lanes(result);
  if (lanes.size() == quantizations().size()) return "";
  const auto [low, high] = std::ranges::minmax(lanes, {}, &Lane::value);
  Axis axis{.low = low.value - 0.2, .high = high.value + 0.2, .ticks = {}, .reference = {}, .budget = {}};
  for (double decade = std::ceil(axis.low); decade <= axis.high; ++decade)
    axis.ticks.push_back({decade, fmt::format("{:g}", std::pow(10., decade))});
  return fmt::format(
             "<p class=\"soft\">Mean KL divergence to the source on a logarithmic axis, among llama.cpp's "
             "quantizations of Llama-3-8B to its FP16. Another model on another text: a sense of scale, no "
             "measurement. Source: {}.</p>\n",
             html_escape(kScaleSource)) +
         lanes_chart(lanes, axis);
}

}  // namespace regroup::eval
