#include "core/report/line_chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>

#include "core/base/error.h"
#include "tests/support/expect_error.h"

namespace regroup::report {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string chart_of(const std::vector<Series>& series, bool logarithmic = false) {
  return line_chart({.label = "loss & more", .x_label = "tokens", .logarithmic = logarithmic}, series);
}

// The points of each path of a series, as shares of the picture: from the left, and from the top.
std::vector<std::vector<Point>> paths_of(const std::string& html, int series) {
  std::vector<std::vector<Point>> paths;
  const std::regex path("series-" + std::to_string(series) + R"re(" d="M([0-9 -]+)( h0)?"/>)re"),
      pair("([0-9-]+) ([0-9-]+)");
  for (auto at = std::sregex_iterator(html.begin(), html.end(), path); at != std::sregex_iterator(); ++at) {
    const std::string numbers = (*at)[1];
    auto& points = paths.emplace_back();
    for (auto p = std::sregex_iterator(numbers.begin(), numbers.end(), pair); p != std::sregex_iterator();
         ++p)
      points.push_back({std::stod((*p)[1]) / 10000, std::stod((*p)[2]) / 10000});
  }
  return paths;
}

TEST(LineChart, PutsPointsWhereTheirValuesAre) {
  const std::string html = chart_of({{"train", {{0, 1}, {50, 3}, {100, 2}}}, {"valid", {{100, 2}}}});
  const auto train = paths_of(html, 0), valid = paths_of(html, 1);
  ASSERT_EQ(train.size(), 1u);
  ASSERT_EQ(train[0].size(), 3u);
  EXPECT_DOUBLE_EQ(train[0][0].x, 0);
  EXPECT_DOUBLE_EQ(train[0][1].x, 0.5);
  EXPECT_DOUBLE_EQ(train[0][2].x, 1);
  EXPECT_NEAR(train[0][0].y, 1 - 0.04 / 1.08, 1e-4) << "the least is near the bottom";
  EXPECT_NEAR(train[0][1].y, 0.04 / 1.08, 1e-4);
  EXPECT_NEAR(train[0][2].y, 0.5, 1e-4);
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_EQ(valid[0].at(0).x, 1);
  EXPECT_EQ(valid[0].at(0).y, train[0][2].y);
  EXPECT_CONTAINS(html, " h0\"/>") << "one point is a dot";
}

TEST(LineChart, LogarithmicAxesMakeRatiosEven) {
  const auto paths = paths_of(chart_of({{"lr", {{0, 1e-4}, {1, 1e-3}, {2, 1e-2}}}}, true), 0);
  ASSERT_EQ(paths.size(), 1u);
  EXPECT_NEAR(paths[0][0].y - paths[0][1].y, paths[0][1].y - paths[0][2].y, 2e-4);
  EXPECT_GT(paths[0][0].y, 0.9);
}

TEST(LineChart, InterruptsTheLineWhereThereIsNoValue) {
  const std::vector<Point> points = {{0, 1}, {1, kNan}, {2, 2}, {3, 3}, {4, -1}, {5, 2}};
  EXPECT_EQ(paths_of(chart_of({{"a", points}}), 0).size(), 2u);
  EXPECT_EQ(paths_of(chart_of({{"a", points}}, true), 0).size(), 3u);
  EXPECT_EQ(chart_of({{"a", {{0, kNan}}}, {"b", {}}}), "");
}

TEST(LineChart, SaysTheLastValueOfEachSeries) {
  const std::string html = chart_of({{"a < b", {{0, 1}, {1, 2.25}, {2, kNan}}}});
  EXPECT_CONTAINS(html, "a &lt; b <span class=\"figure\">2.25</span>");
  EXPECT_CONTAINS(html, "aria-label=\"loss &amp; more\"");
  EXPECT_CONTAINS(html, "<div class=\"x-label\">tokens</div>");
}

TEST(LineChart, LabelsItsAxes) {
  const std::string html = chart_of({{"a", {{0, -1}, {50'000, 1}}}});
  for (const char* label : {">-1<", ">0<", ">1<", ">20 k<"}) EXPECT_CONTAINS(html, label);
  const std::string from_zero = chart_of({{"a", {{0, 0}, {1, 1}}}});
  EXPECT_CONTAINS(from_zero, ">0<");
  EXPECT_EQ(from_zero.find(">-0<"), from_zero.npos);
  for (const double value : {0., 7., -3.})  // nothing but one value
    EXPECT_CONTAINS(chart_of({{"a", {{0, value}, {1, value}}}}), ">" + std::to_string(int(value)) + "<");
}

TEST(LineChart, KeepsThePeaksOfALongSeries) {
  Series series{"a", {}};
  for (int i = 0; i < 100'000; ++i)
    series.points.push_back({double(i), i == 77'777 ? 50. : i == 3 ? -50. : i % 7 * 0.1});
  const std::string html = chart_of({series});
  EXPECT_LT(html.size(), 40'000u);
  const auto paths = paths_of(html, 0);
  ASSERT_EQ(paths.size(), 1u);
  const auto peak = std::ranges::min_element(paths[0], {}, &Point::y),
             hole = std::ranges::max_element(paths[0], {}, &Point::y);
  EXPECT_NEAR(peak->x, 0.7778, 1e-3);
  EXPECT_NEAR(peak->y, 0.04 / 1.08, 1e-3);
  EXPECT_NEAR(hole->x, 0, 1e-3);
  EXPECT_NEAR(hole->y, 1 - 0.04 / 1.08, 1e-3);
}

TEST(LineChart, HasRoomForFewSeries) {
  EXPECT_THROW(chart_of(std::vector<Series>(5)), InternalError);
}

TEST(LogTicks, AreRoundInsideAndAtLeastTwo) {
  EXPECT_EQ(log_ticks(0.5, 200), (std::vector<double>{1, 10, 100}));
  EXPECT_EQ(log_ticks(1.5, 15), (std::vector<double>{2, 5, 10}));
  for (const auto& [low, high] : {std::pair(1.2, 1.9), std::pair(1e-9, 1e9), std::pair(3e-5, 4e-5)}) {
    const auto ticks = log_ticks(low, high);
    EXPECT_TRUE(ticks.size() >= 2 && ticks.size() <= 8) << ticks.size();
    for (const double tick : ticks) EXPECT_TRUE(low <= tick && tick <= high);
  }
}

}  // namespace
}  // namespace regroup::report
