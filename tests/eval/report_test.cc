#include "eval/report.h"

#include <gtest/gtest.h>

#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <cmath>
#include <sstream>
#include <string>

#include "core/base/random.h"
#include "eval/convention.h"
#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/text.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

// A source near 3 nats and models `above` it, a little more in every other cluster and a little less in the
// rest.
Result noisy_result(const std::vector<double>& above, std::optional<Gate> gate = {}) {
  RandomStream random(1, "report");
  Nats nats(above.size() + 1, std::vector<double>(1000));
  for (std::size_t i = 0; i < 1000; ++i) {
    nats[0][i] = 3 + random.normal();
    for (std::size_t m = 0; m < above.size(); ++m)
      nats[m + 1][i] = nats[0][i] + above[m] + (i / 20 % 2 == 0 ? 0.02 : -0.02);
  }
  return sample_result(nats, equal_clusters(50, 20), gate);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Text, WritesNumbersAsPeopleReadThem) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(121088), "121,088");
  EXPECT_EQ(grouped(-1234567), "−1,234,567");
  EXPECT_EQ(percent(1.013, 1), "+1.3%");
  EXPECT_EQ(percent(0.9, 0), "−10%");
  EXPECT_EQ(percent(1.0004, 2), "+0.04%");
  EXPECT_EQ(with_error({.value = 17.526, .error = 0.2149}, 2), "17.53 ± 0.21");
  EXPECT_EQ(with_error({.value = -0.00001}, 4, true), "0.0000 ± ?");
}

TEST(Findings, SayWhatIsTrue) {
  const Result worse = noisy_result({0.05});
  EXPECT_TRUE(
      contains(finding(worse.models[1], worse),
               "a (2 of 8 key/value heads, KV cache 4× smaller): perplexity 5.1% higher than the source's "
               "(95% confidence: "))
      << finding(worse.models[1], worse);
  const Result better = noisy_result({-0.05});
  EXPECT_TRUE(contains(finding(better.models[1], better), "perplexity 4.9% lower than the source's"));
  const Result same = noisy_result({0});
  EXPECT_TRUE(contains(finding(same.models[1], same), "perplexity cannot be told from the source's: "));
  const Result ruined = noisy_result({1.2});
  EXPECT_TRUE(contains(finding(ruined.models[1], ruined), "perplexity 3.32 times the source's"));
  const Result equal = sample_result({{1, 2}, {1, 2}}, equal_clusters(2, 1));
  EXPECT_TRUE(contains(finding(equal.models[1], equal), "predicts the text exactly as the source does"));
  const Result one = sample_result({{1, 2}, {2, 3}}, equal_clusters(1, 2));
  EXPECT_TRUE(contains(finding(one.models[1], one), "the text is too short to say how sure that is"));
}

TEST(Findings, TheHeadlineIsTheVerdictOfTheWorst) {
  const Result failed = noisy_result({0.001, 0.5, 0.1}, Gate{1.02, 0.95});
  EXPECT_TRUE(headline(failed).starts_with("Beyond budget: the perplexity ratio of b is at least 1.6"))
      << headline(failed);
  EXPECT_TRUE(contains(headline(failed), "the budget is 1.02"));
  const Result passed = noisy_result({0.001}, Gate{1.02, 0.95});
  EXPECT_TRUE(headline(passed).starts_with("Within budget: the perplexity ratio of a is at most 1.00"))
      << headline(passed);
  const Result open =
      sample_result({{1, 2, 3, 4}, {1.5, 1.5, 3.5, 3.6}}, equal_clusters(4, 1), Gate{1.02, 0.95});
  EXPECT_TRUE(headline(open).starts_with("Cannot tell: the perplexity ratio of a is ")) << headline(open);
  EXPECT_TRUE(contains(advice_sentence(open.models[1].gates[0], {}),
                       " more tokens of this kind would likely decide."));
  for (const std::string& text : {terminal_text(open), report_markdown(open), report_html(open)})
    EXPECT_TRUE(contains(text, advice_sentence(open.models[1].gates[0], {})));
}

TEST(Findings, AdviceIsForWhatCannotBeTold) {
  EXPECT_EQ(advice_sentence(noisy_result({0.001}, Gate{1.02, 0.95}).models[1].gates[0], {}), "");
  GateDecision decision{.bounds = Interval{1, 2}, .more_tokens = 187'137};
  EXPECT_EQ(advice_sentence(decision, {}), "About 190,000 more tokens of this kind would likely decide.");
  decision.more_tokens = 7;
  EXPECT_EQ(advice_sentence(decision, {}), "About 7 more tokens of this kind would likely decide.");
  decision.more_tokens.reset();
  EXPECT_TRUE(contains(advice_sentence(decision, {}), "it lies on the budget"));
  decision.bounds.reset();
  EXPECT_TRUE(contains(advice_sentence(decision, {}), "at least two windows"));
}

TEST(Findings, WithoutAGateTheHeadlineIsTheNearestModel) {
  const Result result = noisy_result({0.5, 0.05});
  EXPECT_EQ(headline(result), finding(result.models[2], result));
  const Result alone = noisy_result({});
  EXPECT_TRUE(headline(alone).starts_with("source: perplexity ")) << headline(alone);
}

TEST(Reports, NamesMarkNothingUp) {
  Result result = noisy_result({0.05}, Gate{1.02, 0.95});
  result.models[1].facts.name = "<img src=x onerror=alert(1)>|*";
  for (const std::string& text : {report_markdown(result), report_html(result)}) {
    std::string plain = text;
    for (std::size_t at = 0; (at = plain.find("\\<", at)) != plain.npos;) plain.erase(at, 2);
    EXPECT_FALSE(contains(plain, "<img")) << plain;
  }
  EXPECT_TRUE(contains(report_markdown(result), "\\|\\*"));
}

TEST(Reports, EveryOutputNamesTheConvention) {
  Result result = noisy_result({0.05}, Gate{1.02, 0.95});
  for (const Convention& each : conventions()) {
    result.convention = each.name;
    for (const std::string& text : {terminal_text(result), report_markdown(result), report_html(result),
                                    to_text(report_json(result)), report_junit(result)})
      EXPECT_TRUE(contains(text, std::string(each.name))) << text;
  }
}

TEST(Reports, TheTerminalTableIsAligned) {
  const std::string text = terminal_text(noisy_result({0.05, 1.2}));
  const auto width = [](std::string_view line) {
    std::size_t columns = 0;
    for (const char byte : line) columns += (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
    return columns;
  };
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; lines.size() < 4; at = text.find('\n', at) + 1)
    lines.push_back(std::string_view(text).substr(at, text.find('\n', at) - at));
  for (const std::string_view line : lines) EXPECT_EQ(width(line), width(lines.front())) << text;
  EXPECT_TRUE(lines[1].starts_with("source (source)"));
  EXPECT_TRUE(lines[3].starts_with("b "));
}

TEST(Reports, JsonHoldsAllFiguresAtFullPrecision) {
  const Result result = noisy_result({0.05}, Gate{1.1, 0.9});
  const Json json = report_json(result);
  EXPECT_EQ(json["format"], "regroup-eval");
  EXPECT_EQ(json["models"][0]["difference"], nullptr);
  EXPECT_EQ(json["models"][1]["difference"]["value"].get<double>(), result.models[1].difference->value);
  EXPECT_EQ(json["models"][1]["perplexity_ratio"]["interval"][1].get<double>(),
            result.models[1].ratio->interval->high);
  EXPECT_EQ(json["models"][1]["gates"][0]["verdict"], "pass");
  EXPECT_EQ(json["gate"]["max_ppl_ratio"], 1.1);
  EXPECT_EQ(json["data"]["files"][0]["sha256"], std::string(64, 'f'));
  EXPECT_EQ(parse_json(to_text(json), "report"), json);
}

TEST(Reports, JsonKeepsWhatVariesBetweenRunsApart) {
  Result result = noisy_result({0.05});
  Json before = report_json(result);
  result.date = "2027-01-01T00:00:00Z";
  result.models[1].score_seconds = 99;
  Json after = report_json(result);
  EXPECT_NE(before, after);
  before.erase("run");
  after.erase("run");
  EXPECT_EQ(before, after);
}

TEST(Reports, WithoutErrorsNothingIsClaimed) {
  const Result result = sample_result({{1, 2}, {2, 3}}, equal_clusters(1, 2), Gate{1.1, 0.95});
  EXPECT_EQ(report_json(result)["models"][1]["difference"]["standard_error"], nullptr);
  EXPECT_TRUE(contains(terminal_text(result), "± ?"));
  EXPECT_TRUE(contains(report_html(result), "Cannot tell: the text is too short to claim an error"));
}

TEST(Reports, EveryOutputSaysHowFarTheDistributionsAre) {
  std::vector<Scores> scores(2);
  for (int i = 0; i < 100; ++i) {
    scores[0].nats.push_back(1);
    scores[1].nats.push_back(1.5);
    scores[0].top.push_back(1);
    scores[1].top.push_back(i % 4 == 0 ? 1 : 2);
    scores[1].kl.push_back(0.125);
  }
  const Result result = sample_result(scores, equal_clusters(10, 10), {});
  const std::string sentence = divergence_sentence(result.models[1]);
  EXPECT_TRUE(contains(sentence, "a beside the source: KL to source 0.12500 (0.00000 to 0.68")) << sentence;
  EXPECT_TRUE(contains(sentence, "KL by percentile: 50% 0.125, ")) << sentence;
  for (const std::string& text : {terminal_text(result), report_markdown(result), report_html(result)})
    EXPECT_TRUE(contains(text, sentence));
  const Json json = report_json(result)["models"];
  EXPECT_EQ(json[0]["statistics"], nullptr);
  EXPECT_EQ(json[1]["statistics"]["kl_divergence"]["value"], 0.125);
  EXPECT_EQ(json[1]["statistics"]["same_top"]["value"], 0.25);
  EXPECT_EQ(json[1]["statistics"]["kl_percentiles"][5]["percent"], 100);
}

// The test cases of a parsed report: name, and "pass" or what it holds.
std::vector<std::pair<std::string, std::string>> test_cases(const std::string& xml) {
  std::istringstream text(xml);
  boost::property_tree::ptree tree;
  boost::property_tree::read_xml(text, tree);
  std::vector<std::pair<std::string, std::string>> cases;
  for (const auto& [name, child] : tree.get_child("testsuites.testsuite")) {
    if (name != "testcase") continue;
    std::string what = "pass";
    for (const auto& [inner, complaint] : child)
      if (inner != "<xmlattr>") what = inner + ": " + complaint.get<std::string>("<xmlattr>.message");
    cases.emplace_back(
        child.get<std::string>("<xmlattr>.classname") + " " + child.get<std::string>("<xmlattr>.name"), what);
  }
  return cases;
}

TEST(Junit, EveryGateOfEveryModelIsATestCase) {
  const Result result = noisy_result({0.001, 0.5, std::log(1.02)}, Gate{1.02, 0.95});
  const std::string xml = report_junit(result);
  const auto cases = test_cases(xml);
  ASSERT_EQ(cases.size(), 3u);
  EXPECT_EQ(cases[0], std::pair(std::string("a --max-ppl-ratio 1.02"), std::string("pass")));
  EXPECT_EQ(cases[1].first, "b --max-ppl-ratio 1.02");
  EXPECT_EQ(cases[1].second, "failure: " + decision_sentence(result.models[2], result));
  EXPECT_EQ(cases[2].second, "error: " + decision_sentence(result.models[3], result) + " " +
                                 advice_sentence(result.models[3].gates[0], {}));
  EXPECT_TRUE(
      contains(xml, R"(<testsuite name="regroup eval" tests="3" failures="1" errors="1" time="10.000">)"));
  EXPECT_TRUE(contains(xml, R"(<property name="convention" value="consecutive"/>)"));
}

TEST(Junit, IsWellFormedWhateverTheNames) {
  Result result = noisy_result({0.5}, Gate{1.02, 0.95});
  result.models[1].facts.name = "<a & \"b\">\x01\n\xe9";
  EXPECT_EQ(test_cases(report_junit(result))[0].first, "<a & \"b\">  \uFFFD --max-ppl-ratio 1.02");
}

TEST(Html, EscapesWhatComesFromUsers) {
  Result result = noisy_result({0.05});
  const std::string evil = "<script>alert('\"&')</script>";
  result.models[1].facts.name = evil;
  result.models[1].facts.path = evil;
  result.files[0].path = evil;
  result.options["data"] = evil;
  result.document_convention = evil;
  const std::string html = report_html(result);
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;"));
}

TEST(Html, IsSelfContained) {
  const std::string html = report_html(noisy_result({0.05, 0.2}, Gate{1.1, 0.95}));
  for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "@import"})
    EXPECT_FALSE(contains(html, outside)) << outside;
  EXPECT_TRUE(contains(html, "prefers-color-scheme: dark"));
  EXPECT_TRUE(contains(html, "@media print"));
}

TEST(Reports, ABrokenModelStillGetsItsReport) {
  const Result result = sample_result({{3, 4}, {900, 1000}}, equal_clusters(2, 1), Gate{1.02, 0.5001});
  EXPECT_EQ(result.verdict, Verdict::kFail);
  EXPECT_EQ(report_json(result)["models"][1]["nats_per_token"]["value"], 950);
  EXPECT_TRUE(contains(report_html(result), "950.0000"));
}

TEST(Reports, ModelsAlikeToTheLastBitStillGetTheirReport) {
  const Result result = sample_result({{3, 3}, {3, std::nextafter(3., 4.)}}, equal_clusters(1, 2));
  EXPECT_TRUE(contains(report_html(result), "<h2>Perplexity</h2>"));
}

TEST(Reports, APathNeedNotBeUtf8) {
  Result result = noisy_result({0.05});
  result.models[1].facts.path = "models/caf\xe9";
  EXPECT_TRUE(contains(to_text(report_json(result)), "models/caf\uFFFD"));
}

TEST(Html, LeavesOutWhatHasNothingToShow) {
  EXPECT_FALSE(contains(report_html(noisy_result({})), "<h2>Difference to the source</h2>"));
  EXPECT_TRUE(contains(report_html(noisy_result({0.1})), "<h2>Difference to the source</h2>"));
}

}  // namespace
}  // namespace regroup::eval
