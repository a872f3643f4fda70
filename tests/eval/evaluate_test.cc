#include <gtest/gtest.h>

#include <cmath>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/data/formats.h"
#include "eval/inputs.h"
#include "tests/eval/evaluate_fixture.h"

namespace regroup::eval {
namespace {

namespace fs = std::filesystem;

using testing::user_error_of;

TEST_F(Evaluate, ScoresEveryTokenButTheFirst) {
  const Result result = evaluate(options_);
  EXPECT_EQ(result.stream_tokens, 201);
  EXPECT_EQ(result.scored_tokens, 200);
  EXPECT_EQ(result.windows, 13);
  EXPECT_EQ(result.clusters, 13);
  EXPECT_EQ(result.models[0].facts.name, "source");
  EXPECT_EQ(result.models[1].facts.kv_heads, 2);
  EXPECT_EQ(result.models[1].facts.kv_bytes_per_token, 2 * 2 * 2 * 4 * 4);
  EXPECT_NEAR(result.models[1].difference->value, result.models[1].nats.value - result.models[0].nats.value,
              1e-12);
  EXPECT_FALSE(result.models[0].bits_per_byte.has_value());  // a shard does not know its text
}

TEST_F(Evaluate, AModelIsNoDifferentFromItself) {
  options_.models = {options_.source};
  options_.max_ppl_ratio = 1;
  const Result result = evaluate(options_);
  EXPECT_EQ(result.models[1].difference->value, 0);
  EXPECT_EQ(result.models[1].difference->error, 0.);
  EXPECT_EQ(result.models[1].statistics[0].value, 0);  // KL
  EXPECT_EQ(result.models[1].statistics[1].value, 1);  // same top
  EXPECT_EQ(exit_code(result), 0);
}

TEST_F(Evaluate, GatesTheDistributions) {
  options_.max_kl = 1e-6;
  EXPECT_EQ(exit_code(evaluate(options_)), 1);  // another model
  options_.max_kl.reset();
  options_.min_same_top = 0.99;
  EXPECT_EQ(exit_code(evaluate(options_)), 1);
  options_.models = {options_.source};
  options_.max_kl = 0;
  EXPECT_EQ(exit_code(evaluate(options_)), 0);
}

TEST_F(Evaluate, AWorseModelFailsTheGate) {
  auto tensors = testing::tiny_llama_tensors({.seed = 1});
  tensors.at("lm_head.weight").mul_(8);  // sure of itself, and wrong
  testing::write_llama({}, tensors, folder_ / "worse");
  options_.models = {folder_ / "worse"};
  options_.max_ppl_ratio = 1.02;
  EXPECT_EQ(exit_code(evaluate(options_)), 1);
  std::swap(options_.source, options_.models[0]);
  EXPECT_EQ(exit_code(evaluate(options_)), 0);
}

TEST_F(Evaluate, WritesWhatItFoundAndTheSameAgain) {
  options_.max_ppl_ratio = 1000;
  options_.report = folder_ / "r.html";
  options_.junit = folder_ / "r.xml";
  options_.json = folder_ / "r.json";
  options_.markdown = folder_ / "r.md";
  options_.per_token = folder_ / "r.npy";
  const Result result = evaluate(options_);
  Json json = read_json(options_.json);
  EXPECT_EQ(json["models"][1]["nats_per_token"]["value"].get<double>(), result.models[1].nats.value);
  EXPECT_EQ(json["models"][0]["config_sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(json["models"][0]["weights_sha256"].get<std::string>().size(), 64u);
  EXPECT_NE(json["models"][0]["weights_sha256"], json["models"][1]["weights_sha256"]);
  EXPECT_CONTAINS(read_text(options_.junit), "tests=\"1\" failures=\"0\" errors=\"0\"");
  const std::string npy = read_text(options_.per_token);
  EXPECT_EQ(npy.size(), 128 + 2 * 200 * 8u);
  EXPECT_CONTAINS(npy, "'shape': (2, 200)");

  EXPECT_CONTAINS(refusal(), "exists already");
  options_.overwrite = true;
  options_.batch = 1;  // also of the batch's size, but for rounding
  evaluate(options_);
  EXPECT_NEAR(read_json(options_.json)["models"][1]["nats_per_token"]["value"].get<double>(),
              result.models[1].nats.value, 1e-6);
  options_.batch = 0;
  evaluate(options_);
  Json again = read_json(options_.json);
  json.erase("run");
  again.erase("run");
  EXPECT_EQ(json, again);
  EXPECT_EQ(read_text(options_.per_token), npy);
}

TEST_F(Evaluate, RefusesOutputsBeforeAnythingIsRead) {
  options_.json = folder_ / "r.json";
  write_text(options_.json, "mine");
  options_.source = folder_ / "nothing";
  EXPECT_CONTAINS(refusal(), "r.json: exists already");
  EXPECT_EQ(read_text(options_.json), "mine");
  options_.overwrite = true;
  options_.json = folder_ / "ids.bin";
  EXPECT_CONTAINS(refusal(), "is the name of another output or of the data");
  options_.json = options_.report = folder_ / "new";
  EXPECT_CONTAINS(refusal(), "is the name of another output or of the data");
}

TEST_F(Evaluate, LimitsTheTokens) {
  options_.max_tokens = 50;
  const Result result = evaluate(options_);
  EXPECT_EQ(result.scored_tokens, 50);
  EXPECT_EQ(result.stream_tokens, 201);
  options_.max_tokens = 1000;
  EXPECT_EQ(evaluate(options_).scored_tokens, 200);
}

TEST_F(Evaluate, TheConventionSaysWhatIsScored) {
  const auto scored = [&](const char* name) {
    options_.convention = name;
    const Result result = evaluate(options_);
    EXPECT_EQ(result.convention, name);
    return result.scored_tokens;
  };
  EXPECT_EQ(scored("consecutive"), 200);
  EXPECT_EQ(scored("gptq"), 12 * 15);
  EXPECT_EQ(scored("hf-strided"), 200);
  EXPECT_CONTAINS(user_error_of([&] { scored("llama.cpp"); }), "no tokenizer");
  options_.convention = "folklore";
  EXPECT_CONTAINS(
      refusal(),
      "--convention: no such convention: expected one of consecutive, gptq, hf-strided, llama.cpp, "
      "lm-eval");
}

TEST_F(Evaluate, TheWindowIsWhatTheModelsCanTake) {
  options_.window = 0;
  const auto models = open_inputs(options_).models;
  EXPECT_EQ(open_inputs(options_).window, models.front().config.max_positions);
  options_.window = models.front().config.max_positions + 1;
  EXPECT_CONTAINS(refusal(), "a window is longer than its context");
}

TEST_F(Evaluate, RefusesAnotherVocabulary) {
  testing::write_tiny_llama({.vocab = 25}, folder_ / "other");
  options_.models.push_back(folder_ / "other");
  const std::string message = refusal();
  EXPECT_CONTAINS(message, (folder_ / "other").string());
  EXPECT_CONTAINS(message, options_.source.string());
  EXPECT_CONTAINS(message, "expected 24 ids, found 25");
}

TEST_F(Evaluate, RefusesAnotherTokenizer) {
  write_text(options_.source / "tokenizer.model", "one");
  EXPECT_NO_THROW(evaluate(options_));  // the model holds none
  write_text(options_.models[0] / "tokenizer.model", "two");
  const std::string message = refusal();
  EXPECT_CONTAINS(message, options_.models[0].string() + ": its tokenizer.model is not that of the source " +
                               options_.source.string());
}

TEST_F(Evaluate, RefusesIdsBeyondTheVocabulary) {
  data::TokenStream stream;
  stream.tokens = {1, 2, 24};
  stream.document_starts = {0};
  data::data_format("llm.c").write(folder_ / "beyond.bin", stream, 25, false);
  options_.data = {folder_ / "beyond.bin"};
  EXPECT_CONTAINS(refusal(), "beyond the vocabulary");
}

TEST_F(Evaluate, RefusesTextTooShortToScoreByItsName) {
  options_.data = {ids_file("one.bin", 1)};
  EXPECT_CONTAINS(refusal(), (folder_ / "one.bin").string() + ": too short to score a token");
}

TEST_F(Evaluate, RefusesAGateThatMeansNothing) {
  options_.max_ppl_ratio = 1.02;
  options_.models.clear();
  EXPECT_CONTAINS(refusal(), "--max-ppl-ratio: needs a model to compare");
  options_.models = {folder_ / "model"};
  for (const double ratio : {0., -1., std::nan("")}) {
    options_.max_ppl_ratio = ratio;
    EXPECT_CONTAINS(refusal(), "not a budget for the perplexity ratio");
  }
  options_.max_ppl_ratio.reset();
  options_.junit = folder_ / "r.xml";
  EXPECT_CONTAINS(refusal(), "--junit: has no gate to report");
  options_.junit.clear();
  options_.max_kl = -0.1;
  EXPECT_CONTAINS(refusal(), "--max-kl: not a budget");
  options_.max_kl.reset();
  options_.min_same_top = 95;
  EXPECT_CONTAINS(refusal(), "--min-same-top: not a budget");
  options_.min_same_top.reset();
  for (const double confidence : {0., 0.5, 1., 95.}) {
    options_.confidence = confidence;
    EXPECT_CONTAINS(refusal(), "--confidence: not a confidence");
  }
}

TEST_F(Evaluate, AUniformModelHasThePerplexityOfItsVocabulary) {
  auto tensors = testing::tiny_llama_tensors({.seed = 1});
  tensors.at("lm_head.weight").zero_();
  testing::write_llama({}, tensors, folder_ / "uniform");
  options_.models = {folder_ / "uniform"};
  const Result result = evaluate(options_);
  EXPECT_NEAR(result.models[1].perplexity.value, 24, 1e-4);
  EXPECT_NEAR(result.models[1].nats.value, std::log(24.), 1e-6);
  // A known regression: from the source to a uniform guess.
  const double ratio = 24 / result.models[0].perplexity.value;
  EXPECT_NEAR(result.models[1].ratio->value, ratio, 1e-5);
  options_.max_ppl_ratio = ratio * 1.5;
  EXPECT_EQ(exit_code(evaluate(options_)), 0);
  options_.max_ppl_ratio = ratio / 1.5;
  EXPECT_EQ(exit_code(evaluate(options_)), 1);
  options_.max_ppl_ratio = ratio;
  EXPECT_EQ(exit_code(evaluate(options_)), 4);
}

TEST_F(Evaluate, OneWindowDecidesNothing) {
  options_.max_tokens = 16;
  options_.max_ppl_ratio = 1000;
  const Result result = evaluate(options_);
  EXPECT_EQ(result.clusters, 1);
  EXPECT_EQ(exit_code(result), 4);
  EXPECT_FALSE(result.models[1].parts.empty());
}

TEST_F(Evaluate, ComparesWithAnEarlierRun) {
  options_.json = folder_ / "earlier.json";
  options_.per_token = folder_ / "earlier.npy";
  options_.resolved = {{"per-token", options_.per_token.string()}};
  evaluate(options_);
  options_.json = options_.per_token = "";
  options_.baseline = folder_ / "earlier.json";
  options_.max_baseline_ratio = 1.01;
  Result again = evaluate(options_);
  EXPECT_TRUE(again.models[1].since->paired);
  EXPECT_EQ(again.models[1].since->change.value, 0);
  EXPECT_EQ(exit_code(again), 0);  // the same weights
  auto tensors = testing::tiny_llama_tensors({.seed = 1});
  tensors.at("lm_head.weight").mul_(8);
  fs::remove_all(folder_ / "model");
  testing::write_llama({}, tensors, folder_ / "model");
  EXPECT_EQ(exit_code(evaluate(options_)), 1);
  options_.window = 8;
  EXPECT_CONTAINS(refusal(), "the --window was 16, is 8");
}

TEST_F(Evaluate, ResamplesAsOftenAsAsked) {
  options_.window = 8;  // 25 blocks
  options_.bootstrap = 300;
  const Result result = evaluate(options_);
  EXPECT_EQ(result.replicates, 300);
  EXPECT_EQ(result.models[1].resampled.size(), 4u);
  options_.seed = 1;
  EXPECT_NE(evaluate(options_).models[1].resampled[0].interval.low,
            result.models[1].resampled[0].interval.low);
}

TEST_F(Evaluate, AnOutputThatCannotBeWrittenCostsNoOther) {
  options_.per_token =
      folder_ / std::string(255, 'n');  // with no room for the name it has while it is written
  options_.json = folder_ / "kept.json";
  const Result result = evaluate(options_);
  EXPECT_EQ(read_json(options_.json)["models"].size(), 2);
  ASSERT_EQ(result.not_written.size(), 1);
  EXPECT_CONTAINS(user_error_of([&] { require_written(result); }), "nnnn");
}

TEST_F(Evaluate, RefusesWhatWouldDoNothing) {
  options_.bootstrap = 2000;
  options_.models.clear();
  EXPECT_CONTAINS(refusal(), "--bootstrap: needs a model to compare");
  options_.bootstrap = 0;
  options_.data.clear();
  options_.tasks = {"piqa=" + (folder_ / "piqa.jsonl").string()};
  options_.max_tokens = 5;
  EXPECT_CONTAINS(refusal(), "--max-tokens: needs --data");
  options_.max_tokens = 0;
  options_.convention = "gptq";
  EXPECT_CONTAINS(refusal(), "--convention: needs --data");
}

TEST_F(Evaluate, TakesNoMoreWindowsAtATimeThanThereAre) {
  options_.batch = std::int64_t{1} << 40;
  EXPECT_EQ(evaluate(options_).batch, 13);
}

TEST_F(Evaluate, RefusesComparisonsThatMeanNothing) {
  options_.bootstrap = 10;
  EXPECT_CONTAINS(refusal(), "--bootstrap: too few resamples");
  options_.bootstrap = 0;
  options_.max_baseline_ratio = 1.02;
  EXPECT_CONTAINS(refusal(), "--max-baseline-ratio: has no earlier run");
  options_.max_baseline_ratio.reset();
  options_.lm_eval_json = folder_ / "lm.json";
  EXPECT_CONTAINS(refusal(), "--lm-eval-json: the bytes of what is scored are not known");
  options_.models.push_back(folder_ / "source");
  EXPECT_CONTAINS(refusal(), "--lm-eval-json: holds one model");
  options_.lm_eval_json.clear();
  options_.models.clear();
  options_.baseline = folder_ / "earlier.json";
  EXPECT_CONTAINS(refusal(), "--baseline: needs a model");
}

TEST_F(Evaluate, ModelsOfOneNameAreToldApart) {
  fs::create_directories(folder_ / "b");
  testing::write_tiny_llama({.seed = 5}, folder_ / "b/source");
  options_.models = {folder_ / "b/source"};
  const Result result = evaluate(options_);
  EXPECT_EQ(result.models[0].facts.name, options_.source.string());
  EXPECT_EQ(result.models[1].facts.name, (folder_ / "b/source").string());
}

}  // namespace
}  // namespace regroup::eval
