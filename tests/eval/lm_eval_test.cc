// The file for lm-eval's tooling against the shape of lm-eval's own (tests/oracle/lm_eval_shape.py).
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/json.h"
#include "eval/report.h"
#include "tests/eval/full_result.h"
#include "tests/eval/sample_result.h"

namespace regroup::eval {
namespace {

std::string type_of(const Json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "boolean";
  return value.is_number() ? "number" : "null";
}

void expect_known(const Json& value, const std::string& path, const Json& types) {
  ASSERT_TRUE(types.contains(path)) << path << " is no key of lm-eval's";
  // An error that lm-eval does not know is "N/A" there; a commit, where there is no repository, null.
  const bool differs = path.ends_with("_stderr,none") || path == "/git_hash";
  EXPECT_TRUE(differs || types[path] == type_of(value)) << path << ": " << types[path];
  if (value.is_object())
    for (const auto& [key, inner] : value.items()) expect_known(inner, path + "/" + key, types);
}

Result text_result() {
  Result result = sample_result({{1, 3, 2}, {1.5, 3, 2.5}}, equal_clusters(3, 1));
  result.files[0].path = "somewhere/TASK.txt";
  return result;
}

TEST(LmEval, EveryKeyIsOneOfItsOwn) {
  const Json types =
      read_json(std::string(REGROUP_SOURCE_DIR) + "/tests/goldens/eval/lm_eval_shape.json")["types"];
  expect_known(lm_eval_json(text_result()), "", types);
}

TEST(LmEval, HoldsTasksBesideATextAndAlone) {
  Result result = full_result();
  result.models.pop_back();
  for (const bool alone : {false, true}) {
    if (alone) result.scored_tokens = 0;
    const Json json = lm_eval_json(result);
    EXPECT_EQ(json["results"].size(), alone ? 2u : 3u);
    const Json lambada = json["results"]["lambada_openai"], piqa = json["results"]["piqa"];
    EXPECT_EQ(lambada["acc,none"], 0.5);
    EXPECT_EQ(lambada["acc_stderr,none"], 0.05);
    EXPECT_EQ(lambada["perplexity,none"], 20);
    EXPECT_FALSE(lambada.contains("acc_norm,none"));
    EXPECT_EQ(piqa["acc_norm,none"], 0.5);
    EXPECT_EQ(json["configs"]["lambada_openai"]["output_type"], "loglikelihood");
    EXPECT_EQ(json["configs"]["piqa"]["output_type"], "multiple_choice");
    EXPECT_EQ(json["higher_is_better"]["lambada_openai"], (Json{{"perplexity", false}, {"acc", true}}));
    EXPECT_EQ(json["n-samples"]["piqa"]["original"], 40);
    for (const char* key : {"configs", "versions", "n-shot", "higher_is_better", "n-samples"})
      EXPECT_EQ(json[key].size(), json["results"].size()) << key;
  }
}

TEST(LmEval, HoldsWhatItsReadersAskFor) {
  const Json json = lm_eval_json(text_result());
  for (const char* key : {"results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"})
    EXPECT_TRUE(json[key].contains("TASK")) << key;
  const Result result = text_result();
  const Json figures = json["results"]["TASK"];
  EXPECT_EQ(figures["bits_per_byte,none"].get<double>(), result.models[1].bits_per_byte->value);
  EXPECT_NEAR(figures["byte_perplexity,none"].get<double>(), std::exp(7. / 16), 1e-12);  // 7 nats, 16 bytes
  EXPECT_EQ(figures["bits_per_byte_stderr,none"].get<double>(), *result.models[1].bits_per_byte->error);
  EXPECT_EQ(json["config"]["model_args"]["pretrained"], "models/a");
  EXPECT_EQ(json["date"], 1767323045.);
  const Result alone = sample_result({{1, 2}}, equal_clusters(1, 2));
  EXPECT_EQ(lm_eval_json(alone)["results"]["text"]["bits_per_byte_stderr,none"], "N/A");
}

}  // namespace
}  // namespace regroup::eval
