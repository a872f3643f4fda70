// Pictures as inline SVG. Positions are percentages and text has its own size, so a picture fills whatever
// width there is and stays readable on a phone; colours come from the page's style sheet
// (core/report/style.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/statistics.h"

namespace regroup::eval {

struct Tick {
  double at = 0;
  std::string label;
};

// One dot with its error bar.
struct Lane {
  std::string label, note;  // plain text: left and right above the dot
  double value = 0;
  std::optional<Interval> interval;
  bool quiet = false;  // there for comparison: a smaller dot
};

struct Axis {
  double low = 0, high = 1;
  std::vector<Tick> ticks;
  std::optional<Tick> reference;  // a line that the eye should compare with
  std::optional<Tick> budget;     // a line that should not be crossed
};

// Dots on a common axis, one below the other.
std::string lanes_chart(std::span<const Lane> lanes, const Axis& axis);

// Values in order from left to right as bars from zero; `spans` says for each what it covers (a tooltip).
std::string bars_chart(std::span<const double> values, std::span<const std::string> spans);

}  // namespace regroup::eval
