// How the Llama family reads and rewrites config.json. Its arithmetic is compared with HF transformers in
// core/model/parity_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/family/family.h"

namespace regroup::family {
namespace {

Json smallest() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96,
                         "num_attention_heads": 8, "num_hidden_layers": 2, "vocab_size": 50})");
}

ModelConfig read(const Json& config) {
  return family_for(config, "config.json").read_config(config, "config.json");
}

// The message of the UserError that reading `changes` on top of smallest() causes.
std::string refusal(const char* changes) {
  Json config = smallest();
  config.merge_patch(Json::parse(changes));
  try {
    read(config);
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Llama, MissingKeysTakeTheDefaultsOfHf) {
  const ModelConfig config = read(smallest());
  EXPECT_EQ(config.kv_heads, 8);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_EQ(config.norm_epsilon, 1e-6);
  EXPECT_EQ(config.rope.theta, 10000);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kNone);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_FALSE(config.mlp_bias);
  EXPECT_FALSE(config.tied_embeddings);
}

TEST(Llama, NullCountsAsAbsent) {
  Json config = smallest();
  for (const char* key : {"num_key_value_heads", "head_dim", "rope_scaling", "attention_bias"})
    config[key] = {};
  EXPECT_EQ(read(config).kv_heads, 8);
}

TEST(Llama, RopeIsReadFromEveryPlaceThatFilesPutItIn) {
  const auto rope = [](const char* changes) {
    Json config = smallest();
    config.merge_patch(Json::parse(changes));
    return read(config).rope;
  };
  EXPECT_EQ(rope(R"({"rope_theta": 5e5})").theta, 5e5);
  EXPECT_EQ(rope(R"({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}})").theta, 5e5);
  EXPECT_EQ(rope(R"({"rope_theta": 7, "rope_parameters": {"rope_theta": 5e5}})").theta, 5e5);
  EXPECT_EQ(rope(R"({"rope_scaling": {"rope_theta": 3}, "rope_parameters": {"rope_theta": 5e5}})").theta, 3);
  EXPECT_EQ(rope(R"({"rope_scaling": {}, "rope_parameters": {"rope_theta": 5e5}})").theta, 5e5);
  const Rope linear = rope(R"({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4}})");
  EXPECT_EQ(linear.scaling, RopeScaling::kLinear);
  EXPECT_EQ(linear.factor, 4);
  EXPECT_EQ(linear.theta, 5e5);
  const Rope llama3 = rope(R"({"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "llama3",
      "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}})");
  EXPECT_EQ(llama3.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(llama3.original_positions, 4096);
  EXPECT_EQ(rope(R"({"original_max_position_embeddings": 512, "rope_scaling": {"rope_type": "llama3",
      "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 99}})")
                .original_positions,
            512);
}

TEST(Llama, RefusesByKeyWithWhatItExpectedAndFound) {
  EXPECT_EQ(refusal(R"({"hidden_size": null})"),
            "config.json: 'hidden_size': expected a whole number from 1 to 524288, found no such key");
  EXPECT_EQ(refusal(R"({"num_hidden_layers": 1e300})"),
            "config.json: 'num_hidden_layers': expected a whole number from 1 to 1024, found 1e+300");
  EXPECT_EQ(refusal(R"({"vocab_size": "50"})"),
            "config.json: 'vocab_size': expected a whole number from 1 to 2147483647, found \"50\"");
  EXPECT_EQ(
      refusal(R"({"vocab_size": 18446744073709551615})"),
      "config.json: 'vocab_size': expected a whole number from 1 to 2147483647, found 18446744073709551615");
  EXPECT_EQ(refusal(R"({"intermediate_size": -1})"),
            "config.json: 'intermediate_size': expected a whole number from 1 to 524288, found -1");
  EXPECT_EQ(refusal(R"({"rms_norm_eps": 0})"),
            "config.json: 'rms_norm_eps': expected a number above 0, found 0");
  EXPECT_EQ(refusal(R"({"attention_bias": 1})"),
            "config.json: 'attention_bias': expected true or false, found 1");
  EXPECT_EQ(refusal(R"({"num_key_value_heads": 3})"),
            "config.json: 'num_key_value_heads': expected a divisor of num_attention_heads 8, found 3");
  EXPECT_EQ(refusal(R"({"num_attention_heads": 7})"),
            "config.json: 'hidden_size': expected a multiple of num_attention_heads 7, found 64");
  EXPECT_EQ(
      refusal(R"({"head_dim": 9})"),
      "config.json: 'head_dim': expected an even number: rotary positions turn pairs, found 9. The heads "
      "would be 9 wide");
  EXPECT_EQ(refusal(R"({"hidden_act": "gelu"})"),
            "config.json: 'hidden_act': expected \"silu\": other activations are not supported in the Llama "
            "family, "
            "found \"gelu\"");
  EXPECT_EQ(refusal(R"({"model_type": "mistral"})"),
            "config.json: 'model_type': expected \"llama\", as 'architectures' says, found \"mistral\"");
}

TEST(Llama, RefusesRopeByName) {
  EXPECT_EQ(
      refusal(R"({"rope_scaling": {"type": "xpos", "factor": 2}})"),
      "config.json: 'rope_scaling.type': expected one of default, linear, dynamic, llama3, yarn, longrope, "
      "found \"xpos\"");
  EXPECT_EQ(refusal(R"({"rope_parameters": {"rope_type": "linear"}})"),
            "config.json: 'rope_parameters.factor': expected a number above 0, found no such key");
  EXPECT_EQ(refusal(R"({"rope_scaling": [1]})"),
            "config.json: 'rope_scaling': expected an object, found [1]");
  EXPECT_EQ(
      refusal(R"({"rope_parameters": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
                        "high_freq_factor": 4}})"),
      "config.json: 'rope_parameters.high_freq_factor': expected a number above low_freq_factor, found 4");
  EXPECT_EQ(
      refusal(R"({"partial_rotary_factor": 0.5})"),
      "config.json: 'partial_rotary_factor': expected 1: models of this family turn whole heads, found 0.5");
}

TEST(Llama, KvHeadsAreWrittenInPlace) {
  const Json config =
      Json::parse(R"({"a": 1.50, "num_attention_heads": 8, "num_key_value_heads": 8, "z": [1e-05]})");
  const Family& llama = family_for(smallest(), "");
  EXPECT_EQ(llama.with_kv_heads(config, 2).dump(),
            R"({"a":1.5,"num_attention_heads":8,"num_key_value_heads":2,"z":[1e-05]})");
}

TEST(Llama, KvHeadsAreInsertedAfterTheHeads) {
  const Json config = Json::parse(R"({"z": 0, "num_attention_heads": 8, "hidden_act": "silu"})");
  EXPECT_EQ(family_for(smallest(), "").with_kv_heads(config, 4).dump(),
            R"({"z":0,"num_attention_heads":8,"num_key_value_heads":4,"hidden_act":"silu"})");
}

std::vector<std::string> names(const Json& config) {
  std::vector<std::string> names;
  for (const auto& tensor : expected_tensors(family_for(config, ""), read(config)))
    if (tensor.required) names.push_back(tensor.name);
  return names;
}

TEST(Llama, AsksForTheTensorsOfItsConfiguration) {
  Json config = smallest();
  EXPECT_EQ(names(config).size(), 3u + 2 * 9);
  config["attention_bias"] = true;
  EXPECT_EQ(names(config).size(), 3u + 2 * 13);
  config["mlp_bias"] = true;
  EXPECT_EQ(names(config).size(), 3u + 2 * 16);
  config["tie_word_embeddings"] = true;
  const auto tied = names(config);
  EXPECT_EQ(tied.size(), 2u + 2 * 16);
  EXPECT_EQ(std::ranges::count(tied, "lm_head.weight"), 0);
}

TEST(Llama, ShapesFollowTheHeads) {
  Json config = smallest();
  config["num_key_value_heads"] = 2;
  config["head_dim"] = 4;
  std::map<Part, std::vector<std::int64_t>> shapes;
  for (const auto& tensor : expected_tensors(family_for(config, ""), read(config)))
    shapes[tensor.part] = tensor.shape;
  EXPECT_EQ(shapes[Part::kQueryWeight], (std::vector<std::int64_t>{32, 64}));
  EXPECT_EQ(shapes[Part::kKeyWeight], (std::vector<std::int64_t>{8, 64}));
  EXPECT_EQ(shapes[Part::kOutputWeight], (std::vector<std::int64_t>{64, 32}));
}

TEST(Llama, TheStoredTypeKeepsTheKeyThatItHas) {
  const auto rewritten = [](const char* config) {
    return with_dtype(Json::parse(config), checkpoint::DType::kBF16).dump();
  };
  EXPECT_EQ(rewritten(R"({"dtype":"float32","a":1})"), R"({"dtype":"bfloat16","a":1})");
  EXPECT_EQ(rewritten(R"({"torch_dtype":"float32","dtype":null})"),
            R"({"torch_dtype":"bfloat16","dtype":"bfloat16"})");
  EXPECT_EQ(rewritten(R"({"a":1})"), R"({"a":1,"torch_dtype":"bfloat16"})");
}

}  // namespace
}  // namespace regroup::family
