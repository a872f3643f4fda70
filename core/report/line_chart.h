// Curves as inline SVG, for HTML reports (html.h). Lines fill whatever width there is; text and the lines'
// strength keep their size on a phone and on paper. Series differ in colour and in dashes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::report {

struct Point {
  double x = 0, y = 0;
};

// Points ascend in x. Those that are not finite, or not above zero where y is logarithmic, interrupt the
// line.
struct Series {
  std::string label;  // plain text
  std::vector<Point> points;
};

struct LineChart {
  std::string label;         // plain text: what the picture shows, for who does not see it
  std::string x_label;       // plain text, below the axis
  bool logarithmic = false;  // y
};

// The picture with its legend, which says each series' last value; empty if no series has a point to draw. At
// most kMostSeries. Of a long series the least and the largest point in each of a thousand slices are drawn:
// a page stays small, and no peak is lost.
inline constexpr std::size_t kMostSeries = 4;
std::string line_chart(const LineChart& chart, std::span<const Series> series);

// What a page with such a chart gives html_page() for its style.
extern const std::string_view kLineChartStyle;

// Round numbers in [low, high], 0 < low < high, for a logarithmic axis: decades, or 1, 2 and 5 of each, or
// round_ticks() where that makes fewer than two.
std::vector<double> log_ticks(double low, double high);

}  // namespace regroup::report
