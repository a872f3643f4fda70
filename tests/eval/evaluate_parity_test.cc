// Whole evaluations of the demo checkpoint beside what other programs say of it (tests/goldens/eval).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "core/base/json.h"
#include "eval/convention.h"
#include "eval/eval.h"
#include "tests/support/temp_dir.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = REGROUP_SOURCE_DIR, kGolden = kRoot / "tests/goldens/eval";

Options golden_options() {
  Options options;
  options.source = kRoot / "demo/kjv-mha";
  options.data = {kGolden / "text.txt"};
  return options;
}

// Text, tokenizer, documents, windows, arithmetic and order at once, against HF transformers.
TEST(EvaluateParity, EveryTokenIsThatOfTransformers) {
  const Json expected = read_json(kGolden / "nats.json");
  const testing::TempDir folder;
  Options options = golden_options();
  options.window = 64;
  options.per_token = folder / "nats.npy";
  options.lm_eval_json = folder / "lm_eval.json";
  const Result result = evaluate(options);
  const std::string npy = read_text(options.per_token);
  ASSERT_EQ(npy.size(), 128 + 8 * expected["nats"].size());
  EXPECT_EQ(result.documents, 2);
  double largest = 0;
  for (std::size_t i = 0; i < expected["nats"].size(); ++i) {
    double value = 0;
    std::memcpy(&value, npy.data() + 128 + 8 * i, sizeof value);
    largest = std::max(largest, std::abs(value - expected["nats"][i].get<double>()));
  }
  EXPECT_LT(largest, 1e-4);
  EXPECT_TRUE(result.models[0].bits_per_byte.has_value());
  EXPECT_EQ(read_json(options.lm_eval_json)["results"]["text"]["bits_per_byte,none"].get<double>(),
            result.models[0].bits_per_byte->value);
}

// Each convention against the loop that it is named after, run with HF transformers.
TEST(EvaluateParity, ConventionsAreTheirPeers) {
  const Json expected = read_json(kGolden / "perplexities.json");
  Options options = golden_options();
  options.window = expected["window"];
  for (const Convention& each : conventions()) {
    if (each.name == "consecutive") continue;  // token by token, above
    options.convention = each.name;
    const double theirs = expected["perplexities"][options.convention];
    EXPECT_NEAR(evaluate(options).models[0].perplexity.value / theirs, 1, 1e-5) << each.name;
  }
}

// Per word, per byte, and in bits, of the text as it was, by lm-eval's own code.
TEST(EvaluateParity, FiguresOfTheTextAreThoseOfLmEval) {
  const Json expected = read_json(kGolden / "perplexities.json");
  Options options = golden_options();
  options.window = expected["window"];
  options.convention = "lm-eval";
  const Result result = evaluate(options);
  const ModelResult& model = result.models[0];
  const Json& theirs = expected["lm_eval"];
  EXPECT_EQ(result.text_words, theirs["words"].get<std::int64_t>());
  EXPECT_NEAR(model.word_perplexity.value().value / theirs["word_perplexity"].get<double>(), 1, 1e-4);
  EXPECT_NEAR(model.byte_perplexity.value().value / theirs["byte_perplexity"].get<double>(), 1, 1e-5);
  EXPECT_NEAR(model.bits_per_byte.value().value / theirs["bits_per_byte"].get<double>(), 1, 1e-5);
  options.max_tokens = result.stream_tokens - 1;  // all but the last, which the other conventions would score
  const Result cut = evaluate(options);
  EXPECT_EQ(cut.scored_tokens, result.scored_tokens - 1);
  EXPECT_FALSE(cut.models[0].word_perplexity.has_value());
}

}  // namespace
}  // namespace regroup::eval
