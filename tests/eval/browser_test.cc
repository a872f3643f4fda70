// The HTML report as a browser shows it: on a phone, on a desk, in the dark, on paper. Skipped, with a word,
// where there is no Chromium.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/output_file.h"
#include "eval/report.h"
#include "tests/eval/full_result.h"
#include "tests/support/temp_dir.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

std::string find_browser() {
  const char* path = std::getenv("PATH");
  for (const char* name : {"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}) {
    std::string rest = path ? path : "";
    while (!rest.empty()) {
      const std::size_t colon = std::min(rest.find(':'), rest.size());
      const fs::path file = fs::path(rest.substr(0, colon)) / name;
      if (fs::exists(file)) return file;
      rest.erase(0, colon + 1);
    }
  }
  return "";
}

class Browser : public ::testing::Test {
 protected:
  void SetUp() override {
    browser_ = find_browser();
    if (browser_.empty()) GTEST_SKIP() << "no Chromium on the path: how the report looks was not tested";
  }

  // What the browser printed, its console's lines among it.
  std::string run(const std::string& arguments) {
    const std::string command = fmt_command(arguments);
    FILE* pipe = popen(command.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    while (const std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe))
      out.append(buffer.data(), size);
    EXPECT_EQ(pclose(pipe), 0) << out;
    return out;
  }

  // What a script at the end of the page finds out, in a window of this width.
  Json probe(const Result& result, int width, const std::string& flags = "", bool on_paper = false) {
    std::string html = report_html(result);
    if (on_paper)
      for (const auto& [medium, rule] : {std::pair("@media print,", "@media all,"),
                                         {"@media print {", "@media all {"},
                                         {"(max-width: 720px)", "(max-width: 1px)"}})
        for (std::size_t at = 0; (at = html.find(medium, at)) != html.npos;)
          html.replace(at, std::string(medium).size(), rule);
    const std::string script =
        "<script>addEventListener('load', () => {const wide = [];"
        "for (const e of document.querySelectorAll('main *')) { const r = e.getBoundingClientRect();"
        "if (r.right > innerWidth + 0.5 && !e.closest('svg, .wide')) wide.push(e.tagName + ' ' + "
        "e.className); }"
        "const hidden = [...document.querySelectorAll('.wide, .wide *')].filter(e => {"
        "const r = e.getBoundingClientRect(), b = e.closest('.wide').getBoundingClientRect();"
        "return r.right > b.right + 0.5; }).map(e => e.innerText);"
        "const found = {hidden: hidden, width: innerWidth, scroll: document.scrollingElement.scrollWidth, "
        "wide: wide,"
        "paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,"
        "heading: document.querySelector('h1').innerText,"
        "sections: [...document.querySelectorAll('h2')].map(e => e.innerText),"
        "marks: document.querySelectorAll('mark.worst').length};"
        "const pre = document.createElement('pre'); pre.textContent = '@@' + JSON.stringify(found) + '@@';"
        "document.body.append(pre);});</script>";
    html.insert(html.rfind("</body>"), script);
    write_output_file(folder_ / "page.html", html, true);
    const std::string out = run(flags + " --window-size=" + std::to_string(width) +
                                ",1200 --dump-dom file://" + fs::absolute(folder_ / "page.html").string());
    EXPECT_EQ(out.find("CONSOLE"), std::string::npos) << out.substr(out.find("CONSOLE"));
    const std::size_t begin = out.rfind("<pre>@@"), end = out.rfind("@@</pre>");
    if (begin == std::string::npos || end == std::string::npos) {
      ADD_FAILURE() << "the page did not run: " << out.substr(0, 2000);
      return {};
    }
    std::string json = out.substr(begin + 7, end - begin - 7);
    for (const auto& [entity, plain] : {std::pair("&lt;", "<"), {"&gt;", ">"}, {"&amp;", "&"}})
      for (std::size_t at = 0; (at = json.find(entity, at)) != json.npos;)
        json.replace(at, std::string(entity).size(), plain);
    return parse_json(json, "the browser's answer");
  }

  testing::TempDir folder_;

 private:
  std::string fmt_command(const std::string& arguments) {
    return "timeout 120 '" + browser_ + "' --headless --no-sandbox --disable-gpu --disable-dev-shm-usage " +
           "--enable-logging=stderr --virtual-time-budget=3000 --user-data-dir='" +
           (folder_ / "profile").string() + "' " + arguments + " 2>&1";
  }

  std::string browser_;
};

// Names and figures as long as they get.
Result wide_result() {
  Result result = full_result();
  const Figure broken{1.234567e7, 1.234567e6, Interval{1e7, 2e7}};
  for (ModelResult& model : result.models) {
    model.facts.name += "-32-of-32-heads-uptrained-on-five-percent";
    for (TaskFigures& task : model.tasks) {
      task.perplexity = broken;
      task.accuracies.push_back(task.accuracies.front());
      task.accuracies.back().key = "acc_norm";
    }
  }
  return result;
}

TEST_F(Browser, NothingLeavesThePage) {
  const Result result = wide_result();
  for (const int width : {360, 721, 800, 961, 1400}) {
    const Json found = probe(result, width);
    EXPECT_EQ(found["width"], width);
    EXPECT_LE(found["scroll"].get<int>(), width) << found.dump(2);
    EXPECT_EQ(found["wide"], Json::array()) << width;
  }
}

TEST_F(Browser, ShowsItsSections) {
  const Json found = probe(full_result(), 1000);
  EXPECT_TRUE(found["heading"].get<std::string>().starts_with("Beyond budget: ")) << found["heading"];
  const std::vector<std::string> sections = found["sections"];
  for (const char* title : {"Figures", "Difference to the source", "On the scale of quantizations",
                            "Where it hurts", "Worst passages", "Provenance"})
    EXPECT_NE(std::ranges::find(sections, title), sections.end()) << title;
  EXPECT_GT(found["marks"].get<int>(), 0);
}

TEST_F(Browser, IsDarkInTheDark) {
  const Json light = probe(full_result(), 800);
  const Json dark = probe(full_result(), 800, "--blink-settings=preferredColorScheme=0");
  EXPECT_EQ(light["paper"], "rgb(251, 250, 247)");
  EXPECT_EQ(dark["paper"], "rgb(25, 26, 28)");
  EXPECT_NE(light["ink"], dark["ink"]);
}

// With paper's rules on a page as wide as A4 within its margins: nothing that only scrolling would show.
TEST_F(Browser, PaperShowsEveryColumn) {
  const Json found = probe(wide_result(), 718, "", /*on_paper=*/true);
  EXPECT_LE(found["scroll"].get<int>(), 718);
  EXPECT_EQ(found["hidden"], Json::array());
}

TEST_F(Browser, Prints) {
  write_text(folder_ / "page.html", report_html(full_result()));
  run("--print-to-pdf='" + (folder_ / "page.pdf").string() + "' file://" +
      fs::absolute(folder_ / "page.html").string());
  const std::string pdf = read_text(folder_ / "page.pdf");
  EXPECT_TRUE(pdf.starts_with("%PDF-"));
  EXPECT_GT(pdf.size(), 20'000u);
}

}  // namespace
}  // namespace regroup::eval
