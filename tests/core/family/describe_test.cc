#include "core/family/describe.h"

#include <gtest/gtest.h>

#include "tests/support/model_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::family {
namespace {

class Describe : public ::testing::Test {
 protected:
  Json described(const DescribeOptions& options = {}) {
    testing::write_model(directory_.path(), config_, testing::required_tensors(config_));
    return describe(open_model(directory_.path()), options);
  }
  testing::TempDir directory_;
  Json config_ = testing::tiny_llama();
};

TEST_F(Describe, SizesTheCacheAtEveryReachableNumberOfHeads) {
  const Json cache = described({.context = 100, .batch = 3})["cache"];
  EXPECT_EQ(cache["context"], 100);
  EXPECT_EQ(cache["batch"], 3);
  // 2 (K and V) x 1 layer x 2 heads of 4 x 4 bytes
  const std::string there =
      R"("architecture":"LlamaForCausalLM","loaded_by":["HF transformers","vLLM","llama.cpp"]})";
  EXPECT_EQ(cache["reachable"].dump(),
            R"([{"kv_heads":2,"group":1,"bytes_per_token":64,"bytes":19200,)" + there +
                R"(,{"kv_heads":1,"group":2,"bytes_per_token":32,"bytes":9600,)" + there + "]");
}

TEST_F(Describe, TakesTheModelsPositionsByDefault) {
  config_["max_position_embeddings"] = 77;
  EXPECT_EQ(described()["cache"]["reachable"][0]["bytes"], 64 * 77);
}

TEST_F(Describe, ReadsTheTokensOfPreTraining) {
  EXPECT_TRUE(described()["pretraining_tokens"].is_null());
  testing::write_file(directory_ / "training_record.json", R"({"pretraining_tokens": 2000000000000})");
  EXPECT_EQ(described()["pretraining_tokens"], 2'000'000'000'000);
  testing::write_file(directory_ / "training_record.json", R"({"pretraining_tokens": "many"})");
  const std::string message = testing::message_of([&] { described(); });
  EXPECT_NE(message.find("training_record.json: 'pretraining_tokens': expected a whole number"),
            std::string::npos)
      << message;
}

TEST_F(Describe, RefusesSizesThatMeanNothing) {
  EXPECT_EQ(testing::message_of([&] { described({.context = 0}); }),
            "--context: expected at least 1, found 0");
  EXPECT_EQ(testing::message_of([&] { described({.batch = -2}); }), "--batch: expected at least 1, found -2");
  EXPECT_EQ(testing::message_of([&] { described({.context = 1LL << 60, .batch = 4}); }),
            "--context and --batch: a cache of more bytes than can be counted");
}

TEST_F(Describe, ReadsWellOnATerminal) {
  testing::write_file(directory_ / "training_record.json", R"({"pretraining_tokens": 13733888})");
  std::string text = description_text(described({.context = 1024, .batch = 8}));
  text.erase(0, directory_.path().string().size());
  EXPECT_EQ(text,
            "\n\n"
            "family        llama (LlamaForCausalLM)\n"
            "parameters    504 (504)\n"
            "shape         1 layers, hidden 8, mlp 6, vocabulary 5, 2048 positions\n"
            "attention     multi-head: 2 query heads, 2 key/value heads of 4\n"
            "weights       F32\n"
            "pre-training  13.7 M tokens (13733888), as training_record.json says\n"
            "\n"
            "key/value cache in F32\n"
            "  kv heads    group    a token     at 8 x 1024    of now\n"
            "         2        1       64 B         512 KiB      100%\n"
            "         1        2       32 B         256 KiB       50%\n"
            "\n"
            "files\n"
            "  model.safetensors                     3.0 KiB  12 tensors\n"
            "\n"
            "can be written\n"
            "  LlamaForCausalLM with 1 key/value head: loads as it is in HF transformers, vLLM, llama.cpp\n");
}

// As published; HF transformers has a class for those that no engine loads with fewer heads.
TEST_F(Describe, NamesTheEnginesOfTheModelAsItIs) {
  EXPECT_EQ(described()["loaded_by"], Json({"HF transformers", "vLLM", "llama.cpp"}));
  const std::filesystem::path goldens = REGROUP_SOURCE_DIR "/tests/goldens/families";
  const Json gpt2 = describe(open_model(goldens / "gpt2-plain"), {});
  EXPECT_EQ(gpt2["loaded_by"], Json({"HF transformers"}));
  EXPECT_EQ(gpt2["cache"]["reachable"][0]["loaded_by"], gpt2["loaded_by"]);
  EXPECT_EQ(gpt2["cache"]["reachable"][1]["loaded_by"], Json::array());

  ModelDirectory own = open_model(goldens / "falcon-rw");
  own.config_json["architectures"] = {"RegroupFalconForCausalLM"};
  EXPECT_EQ(describe(own, {})["loaded_by"], Json::array());
}

TEST_F(Describe, SaysWhenNothingIsLeftToShare) {
  config_["num_key_value_heads"] = 1;
  const std::string text = description_text(described());
  EXPECT_NE(text.find("attention     multi-query: 2 query heads, 1 key/value heads of 4"), std::string::npos);
  EXPECT_NE(text.find("nothing with fewer key/value heads: there is one already"), std::string::npos);
}

}  // namespace
}  // namespace regroup::family
