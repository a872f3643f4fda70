#include "eval/breakdown.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/passages.h"
#include "eval/report.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

// A stream of letters, one a token, in windows of eight; everything but the first is scored. The model is
// where the source is but for what a test adds.
struct Sample {
  std::vector<Token> tokens;
  std::vector<std::int64_t> starts = {0};
  std::vector<Scores> scores;
  ScoredText text;
  Clusters clusters;

  explicit Sample(const std::string& letters, std::vector<std::int64_t> document_starts = {0})
      : tokens(letters.begin(), letters.end()), starts(std::move(document_starts)), scores(2) {
    const std::int64_t size = std::ssize(tokens);
    text = locate_scores(data::consecutive_windows(size, 8), tokens, starts);
    text.decode = [](std::span<const Token> part) { return std::string(part.begin(), part.end()); };
    const auto scored = static_cast<std::size_t>(size - 1);
    for (Scores& each : scores) each = {.nats = std::vector<double>(scored, 2.), .top = {}};
    for (std::int64_t end = 8; end < size - 1; end += 8) clusters.ends.push_back(end);
    clusters.ends.push_back(size - 1);
  }

  void add_divergences() {
    for (Scores& each : scores) each.top.assign(scores[0].nats.size(), 'x');
    scores[1].kl.assign(scores[0].nats.size(), 0.25);
  }

  Comparison comparison() const {
    return {.scores = scores[1],
            .source = scores[0],
            .clusters = clusters,
            .most_nats = 7,
            .most_probability = 1};
  }

  const std::vector<PartResult>& parts(std::string_view key) {
    rows_ = break_down(comparison(), text, 0.95);
    const auto all = breakdowns();
    return rows_[static_cast<std::size_t>(std::ranges::find(all, key, &Breakdown::key) - all.begin())];
  }

  Result result() {
    Result result = sample_result(scores, clusters, {});
    locate_losses(scores, clusters, text, result);
    return result;
  }

 private:
  std::vector<std::vector<PartResult>> rows_;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Breakdown, ByContextInPowersOfTwo) {
  Sample sample(std::string(33, 'a'));  // four windows of eight
  for (const std::size_t first : {0, 8, 16, 24}) sample.scores[1].nats[first] += first == 0 ? 1 : 2;
  const auto& parts = sample.parts("context");
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].label, "1 token");
  EXPECT_EQ(parts[1].label, "2 to 3 tokens");
  EXPECT_EQ(parts[3].label, "8 tokens");
  EXPECT_EQ(parts[0].tokens, 4);
  EXPECT_EQ(parts[1].tokens, 8);
  EXPECT_EQ(parts[2].tokens, 16);
  EXPECT_DOUBLE_EQ(parts[0].difference.value, 1.75);
  EXPECT_DOUBLE_EQ(parts[0].cost, 7);
  EXPECT_DOUBLE_EQ(*parts[0].difference.error, 0.25);  // of four clusters with one token each
  EXPECT_DOUBLE_EQ(parts[1].difference.value, 0);
  EXPECT_FALSE(parts[0].kl.has_value());
}

TEST(Breakdown, ContextOfAStridedWindowCounts) {
  const std::vector<Token> tokens(33, 'a');
  const std::vector<std::int64_t> starts = {0};
  const ScoredText text = locate_scores(data::strided_windows(33, 8, 4), tokens, starts);
  EXPECT_EQ(text.targets.size(), 32u);
  EXPECT_EQ(text.targets[7], 8);
  EXPECT_EQ(text.context[6], 7);
  EXPECT_GE(*std::min_element(text.context.begin() + 8, text.context.end()), 4);
}

TEST(Breakdown, ByHowOftenATokenIsScored) {
  // Behind the first letter: one b, three c, twelve d.
  Sample sample("abccc" + std::string(12, 'd'));
  sample.scores[1].nats[0] += 3;
  sample.add_divergences();
  const auto& parts = sample.parts("frequency");
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].label, "once");
  EXPECT_EQ(parts[1].label, "2 to 9 times");
  EXPECT_EQ(parts[2].label, "10 to 99 times");
  EXPECT_EQ(parts[0].tokens, 1);
  EXPECT_EQ(parts[1].tokens, 3);
  EXPECT_EQ(parts[2].tokens, 12);
  EXPECT_DOUBLE_EQ(parts[0].cost, 3);
  EXPECT_DOUBLE_EQ(parts[2].kl->value, 0.25);
  EXPECT_DOUBLE_EQ(parts[2].same_top->value, 1);
}

TEST(Breakdown, TheDocumentsThatCostMostComeFirst) {
  std::vector<std::int64_t> starts;
  for (std::int64_t d = 0; d < 12; ++d) starts.push_back(10 * d);
  Sample sample(std::string(120, 'a'), starts);
  sample.tokens[70] = 'z';
  for (std::size_t i = 69; i < 79; ++i) sample.scores[1].nats[i] += 0.1;  // document 8
  sample.scores[1].nats[30] += 0.5;                                       // document 4
  const auto& parts = sample.parts("document");
  ASSERT_EQ(parts.size(), 10u);
  EXPECT_EQ(parts[0].label, "document 8: zaaaaaaaaa");
  EXPECT_EQ(parts[0].tokens, 10);
  EXPECT_NEAR(parts[0].cost, 1, 1e-12);
  EXPECT_NEAR(parts[1].cost, 0.5, 1e-12);
  EXPECT_TRUE(Sample(std::string(20, 'a')).parts("document").empty());  // one document is no part
}

TEST(Breakdown, OneHugeDocumentIsBrokenDownByBlocks) {
  Sample sample(std::string(8 * 64 + 1, 'a'));
  for (std::size_t i = 0; i < sample.scores[1].nats.size(); ++i)
    sample.scores[1].nats[i] += i % 8 == 0 ? 1 + 0.1 * static_cast<double>(i / 8 % 3) : 0;
  const auto& parts = sample.parts("context");
  EXPECT_NEAR(parts[0].difference.value, 1.1, 0.01);
  EXPECT_GT(*parts[0].difference.error, 0.005);
  EXPECT_LT(*parts[0].difference.error, 0.02);
  EXPECT_TRUE(contains(where_sentence(sample.result().models[1], sample.result()),
                       "a loses most by tokens of context, at 1 token ("))
      << where_sentence(sample.result().models[1], sample.result());
}

TEST(Breakdown, APlaceIsNamedWhereAShareOfTheLossIs) {
  const auto sentence = [](double elsewhere) {
    Sample sample(std::string(641, 'a'));
    for (std::size_t i = 0; i < sample.scores[1].nats.size(); ++i)
      sample.scores[1].nats[i] += elsewhere * (1 + 0.1 * static_cast<double>(i / 8 % 3));
    for (const std::size_t i : {50, 180, 330, 500}) {
      sample.tokens[i + 1] = static_cast<Token>('b' + i % 19);
      sample.scores[1].nats[i] += 3 + 0.001 * static_cast<double>(i);
    }
    const Result result = sample.result();
    return where_sentence(result.models[1], result);
  };
  EXPECT_TRUE(contains(sentence(0.1), "by frequency of the token, at once (")) << sentence(0.1);
  EXPECT_FALSE(contains(sentence(0.5), "at once")) << sentence(0.5);
}

TEST(Breakdown, NothingLostIsNoSentence) {
  Sample sample(std::string(65, 'a'));
  const Result result = sample.result();
  EXPECT_EQ(where_sentence(result.models[1], result), "");
}

TEST(Passages, AreWhereMostIsLost) {
  Sample sample("In the beginning God created the heaven and the earth");
  sample.add_divergences();
  const std::size_t g = 17 - 1;  // 'G' is token 17, scored as the sixteenth
  sample.scores[1].nats[g] += 4;
  sample.scores[1].nats[g + 1] += 1;
  sample.scores[1].top[g] = 'M';
  sample.scores[0].top[g] = 'G';
  const std::vector<Passage> passages = worst_passages(sample.comparison(), sample.text);
  ASSERT_EQ(passages.size(), 1u);
  const Passage& passage = passages[0];
  EXPECT_EQ(passage.position, 17);
  EXPECT_EQ(passage.document, 1);
  EXPECT_DOUBLE_EQ(passage.lost, 5);
  EXPECT_EQ(passage.before, "In the beginning ");
  sample.text.prefixed = true;  // so the text begins a token later
  EXPECT_EQ(worst_passages(sample.comparison(), sample.text)[0].position, 16);
  ASSERT_EQ(passage.tokens.size(), 2u);
  EXPECT_EQ(passage.tokens[0].text, "G");
  EXPECT_EQ(passage.tokens[0].nats, 6);
  EXPECT_EQ(passage.tokens[0].source_nats, 2);
  EXPECT_EQ(passage.worst, 0u);
  EXPECT_EQ(passage.after, "d create");
  EXPECT_EQ(passage.expected, "M");
  EXPECT_EQ(passage.source_expected, "G");
}

TEST(Passages, DoNotOverlapAndStayInTheirDocument) {
  std::string letters(201, 'a');
  Sample sample(letters, {0, 100});
  for (std::size_t i = 95; i < 103; ++i) sample.scores[1].nats[i] += 1;  // tokens 96 to 103
  for (std::size_t i = 10; i < 30; ++i) sample.scores[1].nats[i] += 0.1;
  const std::vector<Passage> passages = worst_passages(sample.comparison(), sample.text);
  ASSERT_GE(passages.size(), 4u);
  EXPECT_EQ(passages[0].lost, 4);
  EXPECT_EQ(passages[0].position, 96);
  EXPECT_EQ(passages[1].position, 100);
  EXPECT_EQ(passages[1].document, 2);
  EXPECT_EQ(passages[1].before, "");
  EXPECT_EQ(passages[2].tokens.size(), 8u);
  for (const Passage& a : passages)
    for (const Passage& b : passages)
      EXPECT_TRUE(&a == &b || a.position + std::ssize(a.tokens) <= b.position ||
                  b.position + std::ssize(b.tokens) <= a.position);
}

TEST(Passages, WithoutATokenizerTokensAreIds) {
  Sample sample("abcd");
  sample.text.decode = nullptr;
  sample.scores[1].nats[1] += 1;
  const Passage passage = worst_passages(sample.comparison(), sample.text).at(0);
  EXPECT_EQ(passage.tokens[0].text, "⟨99⟩");
  EXPECT_EQ(passage.before, "⟨97⟩⟨98⟩");
  EXPECT_EQ(passage.expected, "");
}

// A token may be half a character, and a special one reads as nothing.
TEST(Passages, TokensReadAsWhatTheyAdd) {
  const std::vector<Token> tokens = {1, 2, 3, 4};
  const std::vector<std::int64_t> starts = {0};
  ScoredText text = locate_scores(data::consecutive_windows(4, 8), tokens, starts);
  text.decode = [](std::span<const Token> part) {
    std::string read;
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (part[i] == 2) read += i + 1 < part.size() && part[i + 1] == 3 ? "é" : "\uFFFD";
      if (part[i] == 3 && (i == 0 || part[i - 1] != 2)) read += "\uFFFD";
      if (part[i] == 4) read += " end";
    }
    return read;
  };
  EXPECT_EQ(texts_of(text, 0, 4), (std::vector<std::string>{"⟨1⟩", "\uFFFD", "\uFFFD", " end"}));
  EXPECT_EQ(text_after(text, 0, 2, 4), " end");
}

TEST(Losses, AreInEveryReport) {
  Sample sample("see <b>*you*</b> later " + std::string(50, 'a'), {0, 24});
  sample.add_divergences();
  sample.scores[1].nats[5] += 6;
  sample.scores[1].top[5] = '<';
  const Result result = sample.result();
  const std::string html = report_html(result), markdown = report_markdown(result);
  EXPECT_TRUE(contains(html, "<h2>Where it hurts</h2>"));
  EXPECT_TRUE(contains(html, "a, by frequency of the token</h3>"));
  EXPECT_TRUE(contains(html,
                       "<blockquote>see &lt;b<mark class=\"lost worst\" title=\"8.00 nats, the source 2.00\">"
                       "&gt;</mark>*you*&lt;"))
      << html;
  EXPECT_TRUE(contains(html, "expected “&lt;”, the source “x”")) << html;
  EXPECT_TRUE(contains(markdown, "> see \\<b**\\>**\\*you\\*\\<")) << markdown;
  EXPECT_TRUE(contains(markdown, "### a, by document")) << markdown;
  const Json json = report_json(result)["models"];
  EXPECT_EQ(json[0]["breakdowns"], Json::object());
  EXPECT_EQ(json[1]["breakdowns"]["document"][0]["cost"], 6);
  EXPECT_EQ(json[1]["worst_passages"][0]["tokens"][0]["text"], ">");
  EXPECT_EQ(json[1]["worst_passages"][0]["source_expected"], "x");
}

}  // namespace
}  // namespace regroup::eval
