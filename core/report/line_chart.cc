#include "core/report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/report/html.h"

namespace regroup::report {
namespace {

constexpr double kHeight = 200, kTop = 8;  // pixels of the picture, and above its highest place
constexpr double kUnits = 10000;           // of the box that lines are drawn in, stretched to the picture

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool empty() const { return low > high; }
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

struct Frame {
  Range x, y;
  bool logarithmic = false;
  // Shares of the width from the left and of the height from the top.
  double across(double value) const { return (value - x.low) / (x.high - x.low); }
  double down(double value) const {
    return logarithmic ? std::log(y.high / value) / std::log(y.high / y.low)
                       : (y.high - value) / (y.high - y.low);
  }
};

bool is_drawn(const Point& point, bool logarithmic) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!logarithmic || point.y > 0);
}

// An axis has a length, and lines keep off its ends.
Range widened(Range range, bool logarithmic) {
  if (logarithmic) {
    const double factor = range.high > range.low ? std::pow(range.high / range.low, 0.04) : 1.5;
    return {range.low / factor, range.high * factor};
  }
  const double most = std::max(std::abs(range.low), std::abs(range.high));
  const double margin = range.high > range.low ? 0.04 * (range.high - range.low) : most > 0 ? most / 10 : 1;
  return {range.low - margin, range.high + margin};
}

std::optional<Frame> frame_of(std::span<const Series> series, bool logarithmic) {
  Frame frame{.logarithmic = logarithmic};
  for (const Series& each : series)
    for (const Point& point : each.points)
      if (is_drawn(point, logarithmic)) {
        frame.x.take(point.x);
        frame.y.take(point.y);
      }
  if (frame.x.empty()) return std::nullopt;
  if (frame.x.low == frame.x.high) frame.x = widened(frame.x, false);
  frame.y = widened(frame.y, logarithmic);
  return frame;
}

// Of neighbours that fall into one slice of the width, the lowest and the highest, in their order.
std::vector<Point> thinned(std::span<const Point> points, const Frame& frame) {
  constexpr double kSlices = 1000;
  if (points.size() <= 2 * kSlices) return {points.begin(), points.end()};
  std::vector<Point> kept;
  const auto slice = [&](const Point& point) { return std::floor(kSlices * frame.across(point.x)); };
  for (auto begin = points.begin(); begin != points.end();) {
    const auto end =
        std::find_if(begin, points.end(), [&](const Point& p) { return slice(p) != slice(*begin); });
    auto [first, second] = std::ranges::minmax_element(begin, end, {}, &Point::y);
    if (second < first) std::swap(first, second);
    kept.push_back(*first);
    if (second != first) kept.push_back(*second);
    begin = end;
  }
  return kept;
}

std::string stroke(std::span<const Point> points, const Frame& frame, std::size_t index) {
  std::string path;
  for (const Point& point : thinned(points, frame))
    path += fmt::format("{}{:.0f} {:.0f}", path.empty() ? "M" : " ", kUnits * frame.across(point.x),
                        kUnits * frame.down(point.y));
  // A line of one point has only its round ends.
  if (points.size() == 1) path += " h0";
  return fmt::format(R"(<path class="line series-{}" d="{}"/>)", index, path);
}

std::string strokes(const Series& series, const Frame& frame, std::size_t index) {
  const auto drawn = [&](const Point& point) { return is_drawn(point, frame.logarithmic); };
  std::string svg;
  for (auto begin = series.points.begin(); begin != series.points.end();) {
    begin = std::find_if(begin, series.points.end(), drawn);
    const auto end = std::find_if_not(begin, series.points.end(), drawn);
    if (begin != end) svg += stroke(std::span(begin, end), frame, index);
    begin = end;
  }
  return svg;
}

double height_of(const Frame& frame, double value) {
  return kTop + (kHeight - kTop) * frame.down(value);
}

std::string number(double value) {
  return std::abs(value) >= 10000 ? human_count(value) : fmt::format("{:.6g}", value + 0.);  // no "-0"
}

// Ticks of y: numbers in a column of their own, and lines across the picture.
std::string scale(const Frame& frame, std::span<const double> ticks) {
  std::string svg;
  for (const double tick : ticks)
    svg += fmt::format(R"(<text class="tick" x="100%" y="{:.1f}" text-anchor="end">{}</text>)",
                       height_of(frame, tick) + 4, number(tick));
  return fmt::format(R"(<svg class="scale" height="{}" aria-hidden="true">{}</svg>)", kHeight + 22, svg);
}

std::string picture(const LineChart& chart, std::span<const Series> series, const Frame& frame,
                    std::span<const double> ticks) {
  std::string svg;
  for (const double tick : ticks)
    svg += fmt::format(R"(<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>)",
                       height_of(frame, tick));
  for (const double tick : round_ticks(frame.x.low, frame.x.high)) {
    const double share = frame.across(tick);
    const std::string_view anchor = share < 0.05 ? "start" : share > 0.95 ? "end" : "middle";
    svg += fmt::format(R"(<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>)", 100 * share,
                       kTop, kHeight);
    svg += fmt::format(R"(<text class="tick" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>)", 100 * share,
                       kHeight + 16, anchor, number(tick));
  }
  svg +=
      fmt::format(R"(<svg y="{}" width="100%" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">)",
                  kTop, kHeight - kTop, kUnits, kUnits);
  for (std::size_t i = 0; i < series.size(); ++i) svg += strokes(series[i], frame, i);
  return fmt::format(R"(<svg height="{}" role="img" aria-label="{}">{}</svg></svg>)", kHeight + 22,
                     html_escape(chart.label), svg);
}

std::string legend(std::span<const Series> series, bool logarithmic) {
  std::string html;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const auto& points = series[i].points;
    const auto last = std::find_if(points.rbegin(), points.rend(),
                                   [&](const Point& point) { return is_drawn(point, logarithmic); });
    if (last == points.rend()) continue;
    html += fmt::format(
        R"(<span><svg class="key" width="28" height="8" aria-hidden="true"><path class="line series-{}" d="M1 4H27"/></svg>)"
        R"({} <span class="figure">{:.5g}</span></span>)",
        i, html_escape(series[i].label), last->y);
  }
  return "<div class=\"legend\">" + html + "</div>\n";
}

}  // namespace

const std::string_view kLineChartStyle = R"css(
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; font-size: .9rem; }
.legend .key { display: inline-block; width: 28px; margin-right: .4rem; vertical-align: middle; }
.curves { display: flex; gap: 8px; margin: .4rem 0 0; break-inside: avoid; }
.curves .scale { flex: 0 0 52px; width: 52px; } .curves > svg { flex: 1; min-width: 0; }
.line { fill: none; stroke: var(--accent); stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.series-1 { stroke: var(--bad); stroke-dasharray: 7 4; } .series-2 { stroke: var(--good); stroke-dasharray: 2 4; }
.series-3 { stroke: var(--unsure); stroke-dasharray: 10 4 2 4; }
.x-label { text-align: center; padding-left: 60px; color: var(--soft); font-size: .78rem; }
)css";

std::vector<double> log_ticks(double low, double high) {
  check(low > 0 && high > low, "a logarithmic axis is above zero and has a length");
  const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
  const double every = std::max(1., std::ceil((last - first) / 6));
  for (const std::vector<double>& factors : {std::vector<double>{1}, {1, 2, 5}}) {
    std::vector<double> ticks;
    for (double decade = first; decade <= last; decade += factors.size() == 1 ? every : 1)
      for (const double factor : factors)
        if (const double tick = factor * std::pow(10, decade); tick >= low && tick <= high)
          ticks.push_back(tick);
    if (ticks.size() >= 2) return ticks;
  }
  return round_ticks(low, high);
}

std::string line_chart(const LineChart& chart, std::span<const Series> series) {
  check(series.size() <= kMostSeries, "a chart of few lines");
  const std::optional<Frame> frame = frame_of(series, chart.logarithmic);
  if (!frame) return "";
  const std::vector<double> ticks =
      chart.logarithmic ? log_ticks(frame->y.low, frame->y.high) : round_ticks(frame->y.low, frame->y.high);
  return fmt::format(
      "<figure>\n{}<div class=\"curves\">{}{}</div>\n<div class=\"x-label\">{}</div>\n</figure>\n",
      legend(series, chart.logarithmic), scale(*frame, ticks), picture(chart, series, *frame, ticks),
      html_escape(chart.x_label));
}

}  // namespace regroup::report
