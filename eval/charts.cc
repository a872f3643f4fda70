#include "eval/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/report/html.h"

namespace regroup::eval {

using report::html_escape;

namespace {

// Where a value lies, in percent of the width; a margin keeps dots and edge labels inside.
double place(double value, double low, double high) {
  constexpr double kMargin = 5;
  const double share = high > low ? std::clamp((value - low) / (high - low), 0., 1.) : 0.5;
  return kMargin + (100 - 2 * kMargin) * share;
}

std::string vertical(double percent, std::string_view style) {
  return fmt::format(R"(<line class="{}" x1="{:.2f}%" x2="{:.2f}%" y1="0" y2="100%"/>)", style, percent,
                     percent);
}

std::string grid(const Axis& axis) {
  std::string svg;
  for (const Tick& tick : axis.ticks) svg += vertical(place(tick.at, axis.low, axis.high), "grid");
  if (axis.reference) svg += vertical(place(axis.reference->at, axis.low, axis.high), "reference");
  if (axis.budget) svg += vertical(place(axis.budget->at, axis.low, axis.high), "budget");
  return svg;
}

// Centred on its place, but for what is too long near an edge.
std::string axis_label(double percent, const std::string& text, std::string_view style) {
  const bool is_long = text.size() > 8;
  const std::string_view anchor = is_long && percent < 25   ? "start"
                                  : is_long && percent > 75 ? "end"
                                                            : "middle";
  return fmt::format(R"(<text class="{}" x="{:.2f}%" y="14" text-anchor="{}">{}</text>)", style, percent,
                     anchor, html_escape(text));
}

std::string lane(const Lane& lane, const Axis& axis) {
  const double at = place(lane.value, axis.low, axis.high);
  std::string svg = grid(axis);
  if (lane.interval) {
    const double low = place(lane.interval->low, axis.low, axis.high);
    const double high = place(lane.interval->high, axis.low, axis.high);
    svg += fmt::format(R"(<line class="whisker" x1="{:.2f}%" x2="{:.2f}%" y1="11" y2="11"/>)", low, high);
    for (const double end : {low, high})
      svg += fmt::format(R"(<line class="whisker" x1="{:.2f}%" x2="{:.2f}%" y1="6" y2="16"/>)", end, end);
  }
  svg += fmt::format(R"(<circle class="{}" cx="{:.2f}%" cy="11" r="{}"/>)", lane.quiet ? "dot quiet" : "dot",
                     at, lane.quiet ? 3 : 4.5);
  return fmt::format(
      R"(<div class="lane"><div class="lane-text"><span>{}</span><span class="figure">{}</span></div>)"
      R"(<svg height="22" role="img" aria-label="{}: {}">{}</svg></div>)"
      "\n",
      html_escape(lane.label), html_escape(lane.note), html_escape(lane.label), html_escape(lane.note), svg);
}

}  // namespace

std::string lanes_chart(std::span<const Lane> lanes, const Axis& axis) {
  std::string html = "<div class=\"chart\">\n";
  for (const Lane& each : lanes) html += lane(each, axis);
  html += R"(<svg class="axis" height="18" aria-hidden="true">)";
  for (const Tick& tick : axis.ticks)
    html += axis_label(place(tick.at, axis.low, axis.high), tick.label, "tick");
  html += "</svg>\n";
  if (axis.budget) {
    html += R"(<svg class="axis" height="18" aria-hidden="true">)";
    html += axis_label(place(axis.budget->at, axis.low, axis.high), axis.budget->label, "budget-label") +
            "</svg>\n";
  }
  return html + "</div>\n";
}

std::string bars_chart(std::span<const double> values, std::span<const std::string> spans) {
  check(values.size() == spans.size() && !values.empty(), "a bar has a span");
  const double high = std::max(0., *std::ranges::max_element(values));
  const double low = std::min(0., *std::ranges::min_element(values));
  const double range = high > low ? high - low : 1, gap = 100. / static_cast<double>(values.size());
  constexpr double kTop = 6, kHeight = 96;
  const double zero = kTop + kHeight * high / range;
  std::string svg;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double height = kHeight * std::abs(values[i]) / range;
    svg += fmt::format(
        R"(<rect class="{}" x="{:.3f}%" width="{:.3f}%" y="{:.2f}" height="{:.2f}"><title>{}: {:+.4f}</title></rect>)",
        values[i] < 0 ? "bar better" : "bar", gap * static_cast<double>(i) + 0.12 * gap, 0.76 * gap,
        values[i] < 0 ? zero : zero - height, std::max(height, 0.5), html_escape(spans[i]), values[i]);
  }
  svg += fmt::format(R"(<line class="reference" x1="0" x2="100%" y1="{:.2f}" y2="{:.2f}"/>)", zero, zero);
  std::string scale;
  for (const double value : {high, low})
    if (value != 0)
      scale += fmt::format(R"(<text class="tick" x="44" y="{:.1f}" text-anchor="end">{:+.3f}</text>)",
                           value > 0 ? kTop + 8 : kTop + kHeight, value);
  if (low == 0 || (zero > kTop + 24 && zero < kTop + kHeight - 16))
    scale += fmt::format(R"(<text class="tick" x="44" y="{:.1f}" text-anchor="end">0</text>)", zero + 4);
  return fmt::format(R"(<div class="bars"><svg class="scale" height="110" aria-hidden="true">{}</svg>)"
                     R"(<svg height="110" role="img" aria-label="values along the text">{}</svg></div>)"
                     "\n",
                     scale, svg);
}

}  // namespace regroup::eval
