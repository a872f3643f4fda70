#include "convert/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "convert/merge_method.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/checkpoint/checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_llama.h"
#include "tests/support/token_file.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;

using checkpoint::DType;
using testing::read_tensors;
using testing::TempDir;
using testing::TinyLlama;
using testing::user_error_of;
using testing::write_tiny_llama;

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

ConvertOptions options_for(const TempDir& folder, std::int64_t kv_heads) {
  return {
      .model = folder / "source", .output = folder / "out", .plan = {.kv_heads = kv_heads, .method = "mean"}};
}

TEST(Convert, MeanOfStoredHeads) {
  TempDir folder;
  write_tiny_llama({.attention_bias = true, .dtype = DType::kBF16, .files = 2}, folder / "source");
  convert(options_for(folder, 2), Json::object());
  const auto before = read_tensors(folder / "source"), after = read_tensors(folder / "out");
  const auto mean = [&](const std::string& name) {
    const at::Tensor rows = before.at(name).to(at::kFloat);
    return ((rows.unflatten(0, {2, 2, 4}).select(1, 0) + rows.unflatten(0, {2, 2, 4}).select(1, 1)) / 2)
        .to(at::kBFloat16)
        .flatten(0, 1);
  };
  for (const char* name : {"model.layers.0.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.bias"})
    EXPECT_TRUE(at::equal(after.at(name), mean(name))) << name;
}

TEST(Convert, ConfigKeepsEveryOtherKeyInItsPlace) {
  TempDir folder;
  write_tiny_llama({}, folder / "source");
  convert(options_for(folder, 1), Json::object());
  Json expected = read_json(folder / "source/config.json");
  expected["num_key_value_heads"] = 1;
  EXPECT_EQ(read_text(folder / "out/config.json"), to_text(expected));
}

TEST(Convert, CarriesTheOtherFilesButNoOtherWeights) {
  TempDir folder;
  write_tiny_llama({}, folder / "source");
  for (const char* name :
       {"README.md", "tokenizer.model", "pytorch_model.bin", "model.gguf", "generation_config.json"})
    write_text(folder / "source" / name, name);
  convert(options_for(folder, 2), Json::object());
  EXPECT_EQ(names_in(folder / "out"),
            (std::vector<std::string>{"README.md", "REGROUP.md", "config.json", "generation_config.json",
                                      "model.safetensors", "regroup.json", "tokenizer.model",
                                      "tokenizer_config.json"}));
  EXPECT_EQ(read_text(folder / "out/README.md"), "README.md");
}

TEST(Convert, ProvenanceNamesHashesOfWhatWasReadAndWritten) {
  TempDir folder;
  write_tiny_llama({.files = 2}, folder / "source");
  const Json resolved = {{"kv-heads", "2"}};
  convert(options_for(folder, 2), resolved);
  const Json record = read_json(folder / "out/regroup.json");
  EXPECT_EQ(record["options"], resolved);
  EXPECT_EQ(record["result"]["shape"]["kv_heads"], 2);
  for (const char* side : {"source", "result"}) {
    ASSERT_EQ(record[side]["files"].size(), 2u);
    for (const Json& file : record[side]["files"]) {
      const fs::path path = folder.path() / (std::string(side) == "source" ? "source" : "out") / file["name"];
      EXPECT_EQ(file["sha256"], sha256_of_file(path));
      EXPECT_EQ(file["bytes"], fs::file_size(path));
    }
  }
  ConvertOptions further{.model = folder / "out",
                         .output = folder / "mqa",
                         .plan = {.kv_heads = 1},
                         .calibration = {.weights_only = true}};
  convert(further, Json::object());
  EXPECT_EQ(read_json(folder / "mqa/regroup.json")["source"]["provenance"], record);
}

TEST(Convert, TheCardNamesTheSource) {
  TempDir folder;
  write_tiny_llama({}, folder / "source");
  ConvertOptions options = options_for(folder, 2);
  options.overwrite = true;
  for (const char* path : {"source", "source/", "source/.", "source//", "source/../source/"}) {
    options.model = folder / path;
    convert(options, Json::object());
    EXPECT_CONTAINS(read_text(folder / "out/REGROUP.md"), "# source with 2 key/value heads") << path;
  }
}

TEST(Convert, SplitsIntoShardsOfTheSizeAskedFor) {
  TempDir folder;
  write_tiny_llama({.files = 2}, folder / "source");
  ConvertOptions options = options_for(folder, 2);
  options.plan.max_shard_size = 4000;
  convert(options, Json::object());
  const auto written = checkpoint::Checkpoint::open(folder / "out");
  EXPECT_GT(written.files().size(), 2u);
  for (const auto& file : written.files()) {
    std::uint64_t bytes = 0;
    for (const auto& tensor : file.header().tensors) bytes += tensor.bytes();
    EXPECT_TRUE(bytes <= 4000 || file.header().tensors.size() == 1) << file.path();
  }
  options.plan.max_shard_size = 1 << 30;
  options.overwrite = true;
  convert(options, Json::object());
  EXPECT_TRUE(fs::exists(folder / "out/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "out/model.safetensors.index.json"));
  EXPECT_EQ(read_tensors(folder / "out").size(), read_tensors(folder / "source").size());
}

// Tensors that are wanted in another order than they are stored in: by name once all are of one type, and the
// largest ones first.
TEST(Convert, TensorsOfAnyOrderArriveAndTheirFilesAreHashed) {
  TempDir folder;
  write_tiny_llama({.buffers = true, .dtype = DType::kBF16, .files = 2}, folder / "source");
  ConvertOptions options = options_for(folder, 2);
  options.plan.dtype = DType::kF32;
  convert(options, Json::object());
  const auto expected = read_tensors(folder / "out");
  options.overwrite = true;
  for (const std::uint64_t most : {1, 800, 2000, 1 << 30}) {
    options.plan.max_shard_size = most;
    convert(options, Json::object());
    const auto tensors = read_tensors(folder / "out");
    ASSERT_EQ(tensors.size(), expected.size());
    for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(tensors.at(name), tensor)) << name;
    const Json files = read_json(folder / "out/regroup.json")["source"]["files"];
    EXPECT_EQ(files.size(), 2u);
    for (const Json& file : files)
      EXPECT_EQ(file["sha256"], sha256_of_file(folder / "source" / file["name"].get<std::string>()));
  }
}

TEST(Convert, CastsToTheTypeAskedFor) {
  TempDir folder;
  write_tiny_llama({.buffers = true}, folder / "source");
  ConvertOptions options = options_for(folder, 4);
  options.plan.dtype = DType::kBF16;
  convert(options, Json::object());
  const auto before = read_tensors(folder / "source");
  for (const auto& [name, tensor] : read_tensors(folder / "out")) {
    const bool buffer = name.find("inv_freq") != std::string::npos;
    EXPECT_TRUE(at::equal(tensor, buffer ? before.at(name) : before.at(name).to(at::kBFloat16))) << name;
  }
  EXPECT_EQ(read_json(folder / "out/config.json")["torch_dtype"], "bfloat16");
}

TEST(Convert, AHubCacheOfLinksBecomesPlainFiles) {
  TempDir folder;
  write_tiny_llama({.files = 2}, folder / "blobs");
  fs::create_directory(folder / "source");
  for (const auto& entry : fs::directory_iterator(folder / "blobs"))
    fs::create_symlink(fs::path("../blobs") / entry.path().filename(),
                       folder / "source" / entry.path().filename().string());
  convert(options_for(folder, 2), Json::object());
  for (const auto& entry : fs::directory_iterator(folder / "out")) EXPECT_FALSE(entry.is_symlink()) << entry;
  EXPECT_EQ(read_tensors(folder / "out").size(), read_tensors(folder / "source").size());
}

TEST(Convert, TheSameInputsGiveTheSameBytes) {
  for (const std::string& method : method_names()) {
    TempDir folder;
    write_tiny_llama({}, folder / "source");
    ConvertOptions options = options_for(folder, 2);
    options.plan.method = method;
    options.calibration.tokens = merge_method(method).uses_statistics ? 2048 : 0;
    options.seed = 5;
    convert(options, Json::object());
    options.output = folder / "again";
    convert(options, Json::object());
    for (const std::string& name : names_in(folder / "out"))
      EXPECT_EQ(read_text(folder / "out" / name), read_text(folder / "again" / name))
          << method << " " << name;
  }
}

TEST(Convert, APlanWritesNothing) {
  TempDir folder;
  write_tiny_llama({}, folder / "source");
  const std::string text = describe(options_for(folder, 2));
  EXPECT_CONTAINS(text, "4 -> 2");
  EXPECT_CONTAINS(text, "4 merged");
  EXPECT_CONTAINS(describe(options_for(folder, 4)),
                  "LlamaForCausalLM, as the source: what loads that loads it");
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"source"}));
}

// Everything that must fail, and must leave nothing behind.
class RefusedConversion : public ::testing::Test {
 protected:
  void SetUp() override { write_tiny_llama({}, folder_ / "source"); }

  std::string refuse(const ConvertOptions& options) {
    const std::string text = user_error_of([&] { convert(options, Json::object()); });
    EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"source"}));
    return text;
  }

  TempDir folder_;
};

TEST_F(RefusedConversion, ACountThatDoesNotDivide) {
  for (const std::int64_t count : {3, 8, 0, -1})
    EXPECT_CONTAINS(refuse(options_for(folder_, count)),
                    "expected one of 4, 2, 1, found " + std::to_string(count));
}

TEST_F(RefusedConversion, AnUnknownMethod) {
  ConvertOptions options = options_for(folder_, 2);
  options.plan.method = "median";
  EXPECT_CONTAINS(refuse(options), "'median'");
}

TEST_F(RefusedConversion, AnUnknownGrouping) {
  ConvertOptions options = options_for(folder_, 2);
  options.plan.grouping = "contigous";
  EXPECT_CONTAINS(refuse(options), "expected contiguous, cost, or a JSON file of groups, found 'contigous'");
}

TEST_F(RefusedConversion, AnOptionThatWouldChangeNothing) {
  testing::write_random_tokens(folder_ / "source/tokens", 64 * 30, 24);
  const auto refused = [&](const ConvertOptions& options, const char* flag, const char* why) {
    EXPECT_CONTAINS(refuse(options), std::string(flag) + ": " + why);
    EXPECT_CONTAINS(user_error_of([&] { describe(options); }), std::string(flag) + ": " + why);
  };
  ConvertOptions weights = options_for(folder_, 2), drawn = weights, same = options_for(folder_, 4);
  weights.calibration.weights_only = true;
  drawn.plan.method = "optimal";
  const auto with = [](ConvertOptions options, auto set) {
    set(options);
    return options;
  };
  const auto no_bos = [](ConvertOptions& o) { o.calibration.document_start = false; };
  const auto format = [](ConvertOptions& o) { o.calibration.format = "nanogpt"; };
  const auto first = [](ConvertOptions& o) { o.calibration.first_position_weight = 0; };
  const auto memory = [](ConvertOptions& o) { o.calibration.memory = 1 << 30; };
  const auto tokens = [](ConvertOptions& o) { o.calibration.tokens = 1024; };
  for (const ConvertOptions& options : {weights, drawn, same}) {
    refused(with(options, no_bos), "--no-bos", "no text is read");
    refused(with(options, format), "--calibration-format", "no text is read");
  }
  for (const auto& [options, why] : {std::pair{weights, "method mean looks at no tokens here"},
                                     {same, "nothing is merged, so that no tokens are looked at"}}) {
    refused(with(options, first), "--first-position-weight", why);
    refused(with(options, memory), "--memory", why);
    refused(with(options, tokens), "--calibration-tokens", why);
  }
  const char* nothing = "nothing is merged";
  refused(with(same, [](ConvertOptions& o) { o.plan.refit = "ridge"; }), "--refit", nothing);
  refused(with(same, [](ConvertOptions& o) { o.calibration.generate = true; }), "--generate-calibration",
          nothing);
  refused(with(same, [&](ConvertOptions& o) { o.calibration.files = {folder_ / "source/tokens"}; }),
          "--calibration", nothing);
}

TEST_F(RefusedConversion, NaNAndInfinityAreNamedByTensor) {
  for (const char* name : {"model.layers.1.self_attn.k_proj.weight", "model.embed_tokens.weight"})
    for (const double value :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        fs::remove_all(folder_ / "source");
        auto tensors = testing::tiny_llama_tensors({.dtype = dtype});
        tensors.at(name).view(-1)[7] = value;
        testing::write_llama({.dtype = dtype}, tensors, folder_ / "source");
        EXPECT_CONTAINS(refuse(options_for(folder_, 2)), std::string("'") + name + "' holds NaN or infinity");
      }
}

TEST_F(RefusedConversion, AValueThatDoesNotFitTheTypeAskedFor) {
  fs::remove_all(folder_ / "source");
  auto tensors = testing::tiny_llama_tensors({});
  tensors.at("model.embed_tokens.weight").view(-1)[3] = 1e6;
  testing::write_llama({}, tensors, folder_ / "source");
  ConvertOptions options = options_for(folder_, 2);
  options.plan.dtype = DType::kF16;
  EXPECT_CONTAINS(refuse(options), "'model.embed_tokens.weight' does not fit F16");
}

// Weights of 4 TiB that take no room themselves: a file of one hole.
TEST_F(RefusedConversion, AnOutputThatTheDiskHasNoRoomFor) {
  const fs::path source = folder_ / "source", weights = source / "model.safetensors";
  fs::remove_all(source);
  write_tiny_llama({.hidden = 1024, .tied = true, .dtype = DType::kF64}, source);
  Json config = read_json(source / "config.json");
  config["vocab_size"] = std::int64_t{1} << 29;
  auto tensors = checkpoint::open_safetensors(weights).header().tensors;
  for (auto& tensor : tensors)
    if (tensor.name == "model.embed_tokens.weight") tensor.shape.front() = std::int64_t{1} << 29;
  const std::string header = checkpoint::encode_safetensors_header(tensors, {});
  fs::remove(source / "config.json");
  fs::remove(weights);
  write_text(source / "config.json", to_text(config));
  write_text(weights, header);
  fs::resize_file(weights, header.size() + tensors.back().end);
  EXPECT_CONTAINS(refuse(options_for(folder_, 2)), "out: not enough room on its disk: expected 4.0 TiB");
}

TEST_F(RefusedConversion, AnExistingOutputIsUntouched) {
  fs::create_directory(folder_ / "out");
  write_text(folder_ / "out/config.json", "mine");
  const std::string text = user_error_of([&] { convert(options_for(folder_, 2), Json::object()); });
  EXPECT_CONTAINS(text, "--overwrite");
  EXPECT_EQ(read_text(folder_ / "out/config.json"), "mine");
  EXPECT_EQ(names_in(folder_ / "out").size(), 1u);
}

TEST_F(RefusedConversion, TheSourceAsItsOwnOutput) {
  ConvertOptions options = options_for(folder_, 2);
  options.output = folder_ / "source/";
  options.overwrite = true;
  EXPECT_CONTAINS(refuse(options), "would take the place of what is read");
  EXPECT_EQ(read_tensors(folder_ / "source").at("model.layers.0.self_attn.k_proj.weight").size(0), 16);
}

// A model directory that holds another, text and groups: none of them may go with it.
TEST_F(RefusedConversion, AnOutputThatHoldsWhatIsRead) {
  fs::rename(folder_ / "source", folder_ / "inner");
  write_tiny_llama({}, folder_ / "source");
  fs::rename(folder_ / "inner", folder_ / "source/inner");
  testing::write_random_tokens(folder_ / "source/tokens", 64 * 30, 64);
  write_text(folder_ / "source/groups.json", R"({"groups": [[[0, 3], [1, 2]], [[0, 1], [2, 3]]]})");
  ConvertOptions options = options_for(folder_, 2);
  options.overwrite = true;
  const auto refused = [&](fs::path output, const fs::path& input) {
    options.output = std::move(output);
    EXPECT_CONTAINS(refuse(options), "would take the place of what is read: found " + input.string());
  };
  options.model = folder_ / "source/inner";
  refused(folder_ / "source", folder_ / "source/inner");
  refused(folder_ / "source/inner/..", folder_ / "source/inner");
  fs::copy(folder_ / "source/inner", folder_ / "source/other");
  options.model = folder_ / "source/other";
  options.calibration = {.files = {folder_ / "source/inner/tokens"}, .format = "nanogpt"};
  fs::rename(folder_ / "source/tokens", folder_ / "source/inner/tokens");
  refused(folder_ / "source/inner", folder_ / "source/inner/tokens");
  options.calibration = {};
  options.plan.grouping = folder_ / "source/inner/groups.json";
  fs::rename(folder_ / "source/groups.json", folder_ / "source/inner/groups.json");
  refused(folder_ / "source/inner", folder_ / "source/inner/groups.json");
  EXPECT_TRUE(fs::exists(folder_ / "source/inner/config.json"));
}

TEST_F(RefusedConversion, ATruncatedShard) {
  const fs::path weights = folder_ / "source/model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 10);
  EXPECT_CONTAINS(refuse(options_for(folder_, 2)), "model.safetensors");
}

TEST_F(RefusedConversion, AFailedOverwriteKeepsWhatWasThere) {
  convert(options_for(folder_, 4), Json::object());
  const std::string before = read_text(folder_ / "out/model.safetensors");
  auto tensors = testing::tiny_llama_tensors({});
  tensors.at("model.norm.weight").view(-1)[0] = std::numeric_limits<double>::quiet_NaN();
  fs::remove_all(folder_ / "source");
  testing::write_llama({}, tensors, folder_ / "source");
  ConvertOptions options = options_for(folder_, 2);
  options.overwrite = true;
  user_error_of([&] { convert(options, Json::object()); });
  EXPECT_EQ(read_text(folder_ / "out/model.safetensors"), before);
  EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"out", "source"}));
}

}  // namespace
}  // namespace regroup::convert
