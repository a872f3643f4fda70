// What an inspection says of models whose truth is known: copies of heads behind random gauges, and heads
// that have nothing to do with each other.
#include "convert/inspect_heads.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convert/convert.h"
#include "core/base/file.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/expect_error.h"
#include "tests/support/symmetries.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"

namespace regroup::convert {
namespace {

using checkpoint::DType;
using testing::TempDir;
using testing::TinyLlama;
using testing::user_error_of;

// Hidden 64: heads of 8 that are drawn by themselves have little in common.
TinyLlama wide(std::int64_t kv_heads, bool bias = false) {
  return {.layers = 2,
          .hidden = 64,
          .heads = 8,
          .kv_heads = kv_heads,
          .head_dim = 8,
          .attention_bias = bias,
          .dtype = DType::kF64};
}

Json inspected(const TinyLlama& shape, const testing::NamedTensors& tensors,
               const InspectHeadsOptions& asked = {}) {
  TempDir folder;
  testing::write_llama(shape, tensors, folder / "model");
  InspectHeadsOptions options = asked;
  options.model = folder / "model";
  return inspect_heads(options);
}

Json unrelated_heads() {
  return inspected(wide(8), testing::tiny_llama_tensors(wide(8)));
}

// Four heads, each standing twice, in a random order and each behind a gauge of its own; and the pairs.
struct HiddenPairs {
  TinyLlama shape;
  testing::NamedTensors plain, hidden;
};

HiddenPairs hidden_pairs(bool bias) {
  HiddenPairs model{.shape = wide(4, bias)};
  const auto copied = testing::with_copied_heads(model.shape, testing::tiny_llama_tensors(model.shape), 8);
  model.plain = testing::with_shuffled_heads(model.shape, copied, 6);
  model.hidden = testing::with_random_gauges(model.shape, model.plain, 7);
  return model;
}

// The heads whose rows are the same, found by looking.
std::vector<std::vector<std::int64_t>> equal_heads(const HiddenPairs& model, std::int64_t layer) {
  const at::Tensor rows = model.plain.at("model.layers." + std::to_string(layer) + ".self_attn.k_proj.weight")
                              .unflatten(0, {8, 8});
  std::vector<std::vector<std::int64_t>> pairs;
  for (std::int64_t i = 0; i < 8; ++i)
    for (std::int64_t j = i + 1; j < 8; ++j)
      if (at::equal(rows[i], rows[j])) pairs.push_back({i, j});
  return pairs;
}

const Json& merge_to(const Json& layer, std::int64_t kv_heads) {
  return *std::ranges::find_if(layer["merges"],
                               [&](const Json& merge) { return merge["kv_heads"] == kv_heads; });
}

TEST(InspectHeads, SeesCopiesBehindGauges) {
  for (const bool bias : {false, true}) {
    const HiddenPairs model = hidden_pairs(bias);
    const Json heads = inspected(model.shape, model.hidden);
    for (std::int64_t number = 0; number < 2; ++number) {
      const Json& layer = heads["layers"][static_cast<std::size_t>(number)];
      const auto pairs = equal_heads(model, number);
      ASSERT_EQ(pairs.size(), 4u);
      for (const auto& pair : pairs)
        for (const char* part : {"keys", "values"}) {
          const auto i = static_cast<std::size_t>(pair[0]), j = static_cast<std::size_t>(pair[1]);
          EXPECT_NEAR(layer[part]["after_matrix"][i][j].get<double>(), 1, 1e-9) << part;
          EXPECT_NEAR(layer[part]["after_matrix"][j][i].get<double>(), 1, 1e-9) << part;
          EXPECT_LT(layer[part]["before_matrix"][i][j].get<double>(), 0.95) << part;
        }
      const Json& merge = merge_to(layer, 4);
      EXPECT_NEAR(merge["cost"].get<double>(), 0, 1e-9);
      EXPECT_EQ(merge["groups"], Json(pairs));
      EXPECT_EQ(merge["least"], true);
      EXPECT_GT(merge["contiguous"]["cost"].get<double>(), 0.1);
    }
    // Without the gauges copies are seen as they stand.
    const Json plain = inspected(model.shape, model.plain);
    for (const auto& pair : equal_heads(model, 0))
      for (const char* part : {"keys", "values"})
        EXPECT_NEAR(plain["layers"][0][part]["before_matrix"][static_cast<std::size_t>(pair[0])]
                         [static_cast<std::size_t>(pair[1])]
                             .get<double>(),
                    1, 1e-9);
  }
}

TEST(InspectHeads, AlignedSimilarityAndCostDoNotSeeGauges) {
  const HiddenPairs model = hidden_pairs(true);
  const Json plain = inspected(model.shape, model.plain), hidden = inspected(model.shape, model.hidden);
  for (const char* part : {"keys", "values"}) {
    EXPECT_NEAR(plain["mean"][part]["after"].get<double>(), hidden["mean"][part]["after"].get<double>(),
                1e-9);
    EXPECT_GT(plain["mean"][part]["before"].get<double>(),
              hidden["mean"][part]["before"].get<double>() + 0.03);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(plain["mean"]["merges"][i][part].get<double>(),
                  hidden["mean"]["merges"][i][part].get<double>(), 1e-9);
  }
}

TEST(InspectHeads, UnrelatedHeadsAreAsUnlikeAsItSays) {
  const Json heads = unrelated_heads();
  EXPECT_NEAR(heads["unrelated"]["keys"].get<double>(), std::sqrt(1. / 64), 1e-12);
  EXPECT_NEAR(heads["unrelated"]["values"].get<double>(), std::sqrt(8. / 64), 1e-12);
  for (const char* part : {"keys", "values"}) {
    const double unrelated = heads["unrelated"][part].get<double>();
    EXPECT_NEAR(heads["mean"][part]["after"].get<double>(), unrelated, 0.15 * unrelated) << part;
    EXPECT_LT(heads["mean"][part]["before"].get<double>(), 0.08) << part;
  }
}

TEST(InspectHeads, SimilarityIsACorrelation) {
  const Json heads = unrelated_heads();
  for (const Json& layer : heads["layers"])
    for (const char* part : {"keys", "values"}) {
      double sums[2] = {0, 0};
      for (std::size_t i = 0; i < 8; ++i)
        for (std::size_t j = 0; j < 8; ++j) {
          const double before = layer[part]["before_matrix"][i][j].get<double>(),
                       after = layer[part]["after_matrix"][i][j].get<double>();
          EXPECT_TRUE(0 <= before && before <= after + 1e-12 && after <= 1) << before << " " << after;
          if (i == j) {
            EXPECT_NEAR(before, 1, 1e-9);
          } else {
            sums[0] += before;
            sums[1] += after;
          }
        }
      EXPECT_NEAR(layer[part]["before"].get<double>(), sums[0] / 56, 1e-12);
      EXPECT_NEAR(layer[part]["after"].get<double>(), sums[1] / 56, 1e-12);
    }
}

TEST(InspectHeads, MoreHeadsNeverCostMore) {
  const Json heads = unrelated_heads();
  for (const Json& layer : heads["layers"]) {
    ASSERT_EQ(layer["merges"].size(), 3u);
    double last = 0;
    for (const std::int64_t count : {4, 2, 1}) {
      const Json& merge = merge_to(layer, count);
      const double cost = merge["cost"].get<double>();
      EXPECT_GT(cost, last);
      EXPECT_LE(cost, merge["contiguous"]["cost"].get<double>() + 1e-12);
      EXPECT_NEAR(cost, merge["keys"].get<double>() + merge["values"].get<double>(), 1e-12);
      EXPECT_EQ(merge["groups"].size(), static_cast<std::size_t>(count));
      last = cost;
    }
    EXPECT_LE(last, 2);
  }
}

TEST(InspectHeads, MeansAreOverLayers) {
  const Json heads = unrelated_heads();
  const auto mean = [&](const Json::json_pointer& place) {
    return (heads["layers"][0].at(place).get<double>() + heads["layers"][1].at(place).get<double>()) / 2;
  };
  for (const char* place :
       {"/keys/before", "/keys/after", "/values/before", "/values/after", "/merges/0/cost", "/merges/1/keys",
        "/merges/2/values", "/merges/0/contiguous/cost", "/merges/1/contiguous/keys",
        "/merges/1/contiguous/values"}) {
    const Json::json_pointer pointer(place);
    EXPECT_NEAR(heads["mean"].at(pointer).get<double>(), mean(pointer), 1e-12) << place;
  }
}

TEST(InspectHeads, ShowsTheGroupsAskedFor) {
  TempDir folder;
  testing::write_tiny_llama(wide(8), folder / "model");
  InspectHeadsOptions options{.model = folder / "model"};
  const Json middle = inspect_heads(options);
  EXPECT_EQ(middle["shown"], Json({2}));
  EXPECT_CONTAINS(heads_text(middle), "groups at 2 key/value heads");
  options.kv_heads = {1, 4};
  const Json both = inspect_heads(options);
  EXPECT_EQ(both["shown"], Json({4, 1}));
  EXPECT_EQ(heads_text(both).find("groups at 2"), std::string::npos);
  EXPECT_CONTAINS(heads_text(both),
                  "\n1           " + groups_text(merge_to(both["layers"][1], 4)["groups"]) + "\n");
  EXPECT_CONTAINS(heads_text(both), "groups at 1 key/value heads\n0           0 1 2 3 4 5 6 7\n");
}

TEST(InspectHeads, RefusesWhatHasNoAnswer) {
  TempDir folder;
  testing::write_tiny_llama(wide(8), folder / "model");
  testing::write_tiny_llama(wide(1), folder / "one");
  const auto refused = [&](InspectHeadsOptions options) {
    if (options.model.empty()) options.model = folder / "model";
    return user_error_of([&] { inspect_heads(options); });
  };
  EXPECT_CONTAINS(refused({.kv_heads = {2, 3}}), "one of 4, 2, 1");
  EXPECT_CONTAINS(refused({.kv_heads = {8}}), "found 8");
  EXPECT_CONTAINS(refused({.method = "random"}), "merging has no cost");
  EXPECT_CONTAINS(refused({.method = "magic"}), "no such method");
  EXPECT_CONTAINS(refused({.model = folder / "one"}), "there is nothing to merge");
  EXPECT_CONTAINS(refused({.calibration_tokens = 4096, .device = "abacus"}), "found 'abacus'");
}

TEST(InspectHeads, TextHasALineForEachLayer) {
  Json heads = unrelated_heads();
  Json& layer = heads["layers"][1];
  layer["keys"]["before"] = 0.1234;
  layer["keys"]["after"] = 0.5678;
  layer["values"]["before"] = 0.2345;
  layer["values"]["after"] = 0.6789;
  for (std::size_t i = 0; i < 3; ++i) layer["merges"][i]["cost"] = 0.25 * static_cast<double>(i + 1);
  heads["mean"]["merges"][0]["contiguous"]["cost"] = 1.2345;
  const std::string text = heads_text(heads);
  EXPECT_CONTAINS(text, "\n1           0.12 -> 0.57   0.23 -> 0.68     0.250   0.500   0.750\n");
  EXPECT_CONTAINS(text, "if neighbours share one     1.2");
  EXPECT_CONTAINS(text, "about 0.12\n");  // unrelated keys
  heads["grouping"] = "contiguous";
  EXPECT_EQ(heads_text(heads).find("neighbours"), std::string::npos);
}

TEST(InspectHeads, ThePageIsWholeAndSelfContained) {
  Json heads = unrelated_heads();
  heads["path"] = "models/<script>\"&'/";
  heads["layers"][0]["keys"]["after_matrix"][0][1] = 1.0;
  const std::string html = heads_html(heads);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "@import"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  const auto count = [&](const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = html.find(part, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  for (const char* tag : {"section", "svg", "table", "figure", "div", "dl", "g", "tr", "td"}) {
    const std::string name = tag;
    EXPECT_EQ(count("<" + name + " ") + count("<" + name + ">"), count("</" + name + ">")) << tag;
  }
  // layers x keys and values, before and after
  EXPECT_EQ(count("<figure>"), 2u * 4u);
  // The one similarity of 1 is the one cell of full strength, besides the key's.
  EXPECT_EQ(count("fill-opacity=\"1.00\""), 2u);
  EXPECT_CONTAINS(html, "<title>layer 1</title>");
  EXPECT_CONTAINS(html, groups_text(merge_to(heads["layers"][1], 2)["groups"]));
}

TEST(InspectHeads, ThePageSaysWhatWasFound) {
  Json heads = unrelated_heads();
  heads["path"] = "models/mine/";
  Json& layer = heads["layers"][1];
  layer["keys"]["before"] = 0.1234;
  layer["keys"]["after"] = 0.5678;
  layer["values"]["after_matrix"][0][1] = 1.0;
  layer["merges"][1]["groups"] = {{1, 4, 5, 7}, {0, 2, 3, 6}};
  for (const char* part : {"keys", "values"}) layer["merges"][1]["contiguous"][part] = 0.875;
  heads["mean"]["merges"][1]["keys"] = 0.25;
  heads["mean"]["merges"][1]["values"] = 0.125;
  heads["layers"][0]["merges"][1]["cost"] = 4.0;  // the most
  heads["layers"][0]["merges"][2]["cost"] = 1.0;
  const std::string html = heads_html(heads);
  EXPECT_CONTAINS(
      html, "mine: merging 8 key/value heads into 2 loses 25.0% of the keys&#39; energy and 12.5% of the");
  EXPECT_CONTAINS(html, "data-label=\"Similarity of keys\">0.12 → 0.57</td>");
  EXPECT_CONTAINS(html, "data-label=\"Cost at 2\">4.000</td>");
  // Layer 0 in the chart: the most at the top, a quarter of it a quarter up.
  EXPECT_CONTAINS(html, R"(x1="65.67%" y1="8.0" x2="97.00%" y2="165.5"/></g>)");
  // Column of head 1, the first in the order of groups; row of head 0, the fifth.
  EXPECT_CONTAINS(html, R"(<path fill-opacity="1.00" d="M0 4h1v1h-1z"/>)");
  EXPECT_CONTAINS(html, R"(<path class="together" d="M0 0h4v4h-4zM4 4h4v4h-4z"/>)");
  EXPECT_CONTAINS(html, "<h3>Layer 1 <span class=\"soft\">1 4 5 7 | 0 2 3 6</span></h3>");
  EXPECT_CONTAINS(html, "neighbours: 87.5% and 87.5%; no groups lose less");
}

TEST(InspectHeads, WritesAReportButNotOverAnother) {
  TempDir folder;
  testing::write_tiny_llama(wide(8), folder / "model");
  InspectHeadsOptions options{.model = folder / "model", .report = folder / "heads.html"};
  const Json heads = inspect_heads(options);
  EXPECT_EQ(read_text(options.report), heads_html(heads));
  testing::write_file(folder / "heads.html", "mine");
  const std::string message = user_error_of([&] { inspect_heads(options); });
  EXPECT_CONTAINS(message, "--report");
  EXPECT_CONTAINS(message, "exists already");
  EXPECT_EQ(read_text(options.report), "mine");
  options.overwrite = true;
  inspect_heads(options);
  EXPECT_EQ(read_text(options.report), heads_html(heads));
}

}  // namespace
}  // namespace regroup::convert
