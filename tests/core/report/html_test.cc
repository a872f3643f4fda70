#include "core/report/html.h"

#include <gtest/gtest.h>

#include <utility>

namespace regroup::report {
namespace {

TEST(Html, EscapesInsideElementsAndAttributes) {
  EXPECT_EQ(html_escape("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
}

TEST(Html, APageIsWhole) {
  const std::string page = html_page("a < b", ".cell { fill: red; }", "<p>hello</p>\n");
  EXPECT_TRUE(page.starts_with("<!doctype html>\n"));
  EXPECT_NE(page.find("<title>a &lt; b</title>"), std::string::npos);
  EXPECT_NE(page.find(".cell { fill: red; }</style>"), std::string::npos);
  EXPECT_TRUE(page.ends_with("<main>\n<p>hello</p>\n</main>\n</body>\n</html>\n"));
}

TEST(Html, ASectionWithNothingToShowIsLeftOut) {
  EXPECT_EQ(html_section("Figures", ""), "");
  EXPECT_EQ(html_section("A & B", "x"), "<section>\n<h2>A &amp; B</h2>\nx</section>\n");
}

TEST(Html, TicksAreRoundAndInside) {
  EXPECT_EQ(round_ticks(0, 1), (std::vector<double>{0, 0.5, 1}));
  for (const auto& [low, high] : {std::pair(-0.013, 0.21), std::pair(17.2, 17.9), std::pair(0., 1e-6)}) {
    const std::vector<double> ticks = round_ticks(low, high);
    EXPECT_TRUE(ticks.size() >= 2 && ticks.size() <= 6) << ticks.size();
    for (const double tick : ticks) EXPECT_TRUE(low <= tick && tick <= high);
  }
}

}  // namespace
}  // namespace regroup::report
