#include "core/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TempDir;
using testing::write_file;

// A file of one-byte tensors with these names.
std::string file_of(const std::vector<std::string>& names) {
  std::string json = "{";
  for (std::size_t i = 0; i < names.size(); ++i)
    json += (i ? ",\"" : "\"") + names[i] + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
            std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  std::string data;
  for (const std::string& name : names) data += name[0];
  return testing::safetensors_bytes(json + "}", data);
}

std::string index_of(const std::string& weight_map) {
  return R"({"metadata":{"total_size":3,"deep":[[{"weight_map":{"x":[1]}}]]},"weight_map":{)" + weight_map +
         "}}";
}

constexpr const char* kMap = R"("a":"1.safetensors","b":"1.safetensors","c":"2.safetensors")";

struct Sharded : TempDir {
  Sharded() {
    write_file(*this / "model.safetensors.index.json", index_of(kMap));
    write_file(*this / "1.safetensors", file_of({"a", "b"}));
    write_file(*this / "2.safetensors", file_of({"c"}));
  }
  std::string refusal() const {
    return message_of([&] { Checkpoint::open(path()); });
  }
  std::string at(const std::string& name) const { return (path() / name).string(); }
  // The message about the set of shards, with `problems` in the middle.
  std::string mismatch(const std::string& problems) const {
    return at("model.safetensors.index.json") + ": index and shards do not belong together: found " +
           problems + ". Was the download cut off?";
  }
};

TEST(Checkpoint, OpensASingleFile) {
  const TempDir directory;
  write_file(directory / "model.safetensors", file_of({"x", "y"}));
  const Checkpoint checkpoint = Checkpoint::open(directory.path());
  EXPECT_FALSE(checkpoint.sharded());
  EXPECT_EQ(checkpoint.data_bytes(), 2u);
  std::byte value{};
  ASSERT_NE(checkpoint.find("y"), nullptr);
  checkpoint.read(*checkpoint.find("y"), {&value, 1});
  EXPECT_EQ(static_cast<char>(value), 'y');
  EXPECT_EQ(checkpoint.find("z"), nullptr);
}

TEST(Checkpoint, OpensShardsAndSurvivesAMove) {
  const Sharded directory;
  Checkpoint opened = Checkpoint::open(directory.path());
  const Checkpoint checkpoint = std::move(opened);
  EXPECT_TRUE(checkpoint.sharded());
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.data_bytes(), 3u);
  ASSERT_NE(checkpoint.find("c"), nullptr);
  EXPECT_EQ(checkpoint.find("c")->file, 1u);
  std::byte value{};
  checkpoint.read(*checkpoint.find("c"), {&value, 1});
  EXPECT_EQ(static_cast<char>(value), 'c');
}

TEST(Checkpoint, PrefersTheSingleFileAsTransformersDoes) {
  const Sharded directory;
  write_file(directory / "model.safetensors", file_of({"x"}));
  EXPECT_FALSE(Checkpoint::open(directory.path()).sharded());
}

TEST(Checkpoint, FollowsTheLinksOfAHubCache) {
  const TempDir cache;
  fs::create_directories(cache / "blobs");
  fs::create_directories(cache / "snapshots/main");
  write_file(cache / "blobs/00", file_of({"x"}));
  fs::create_symlink("../../blobs/00", cache / "snapshots/main/model.safetensors");
  EXPECT_NE(Checkpoint::open(cache / "snapshots/main").find("x"), nullptr);
  fs::remove(cache / "blobs/00");
  EXPECT_EQ(message_of([&] { Checkpoint::open(cache / "snapshots/main"); }),
            (cache / "snapshots/main/model.safetensors").string() +
                ": a link to a file that is not there: found ../../blobs/00. Was the download cut off?");
}

TEST(Checkpoint, SaysWhatIsThereInstead) {
  const TempDir directory;
  const std::string where = directory.path().string();
  const auto refusal = [&] { return message_of([&] { Checkpoint::open(directory.path()); }); };
  const std::string begin = where +
                            ": no weights that can be read: expected model.safetensors or pytorch_model.bin, "
                            "or an index of either, "
                            "found ";
  EXPECT_EQ(refusal(), begin + "none of them");
  write_file(directory / "consolidated.00.pth", "x");
  write_file(directory / "ggml.gguf", "x");
  EXPECT_EQ(refusal(), begin +
                           "consolidated.00.pth (PyTorch pickle), ggml.gguf (GGUF). Save the model as "
                           "safetensors first");
  fs::remove(directory / "consolidated.00.pth");
  fs::remove(directory / "ggml.gguf");
  write_file(directory / "adapter_model.safetensors", file_of({"x"}));
  EXPECT_EQ(refusal(),
            begin + "adapter_model.safetensors (an adapter). Merge the adapter into its base model first");
  EXPECT_EQ(
      message_of([&] { Checkpoint::open(directory / "no"); }),
      where + "/no: there is no such directory. Give the directory that holds config.json and the weights");
  EXPECT_EQ(message_of([&] { Checkpoint::open(directory / "adapter_model.safetensors"); }),
            where +
                "/adapter_model.safetensors: not a directory. Give the directory that holds config.json and "
                "the weights");
}

TEST(Checkpoint, ReportsEverythingThatIsWrongWithShardsTogether) {
  const Sharded directory;
  write_file(directory / "1.safetensors", file_of({"a", "c", "d"}));
  EXPECT_EQ(
      directory.refusal(),
      directory.mismatch("tensor 'c' is in '1.safetensors', the index says '2.safetensors', tensor 'd' of "
                         "'1.safetensors' is not in the index, tensor 'c' is in '1.safetensors' and in "
                         "'2.safetensors', '1.safetensors' has no tensor 'b'"));
}

TEST(Checkpoint, ReportsMissingAndTruncatedShards) {
  const Sharded directory;
  fs::remove(directory / "1.safetensors");
  fs::resize_file(directory / "2.safetensors", file_of({"c"}).size() - 1);
  EXPECT_EQ(directory.refusal(),
            directory.mismatch("'1.safetensors' is not there, " + directory.at("2.safetensors") +
                               ": cut off, 1 byte missing: tensor 'c' should end at byte 1 of the data, "
                               "which has only 0. Was the download cut off?"));
}

TEST(Checkpoint, KeepsLongListsOfProblemsShort) {
  const Sharded directory;
  std::vector<std::string> names = {"a", "b"};
  for (int i = 0; i < 100; ++i) names.push_back("extra" + std::to_string(i));
  write_file(directory / "1.safetensors", file_of(names));
  EXPECT_NE(directory.refusal().find("… and 92 more"), std::string::npos);
}

TEST(ParseIndex, ReadsTheWeightMapOnly) {
  EXPECT_EQ(parse_index(index_of(kMap), "i.json"),
            (std::map<std::string, std::string>{
                {"a", "1.safetensors"}, {"b", "1.safetensors"}, {"c", "2.safetensors"}}));
}

TEST(ParseIndex, RefusesWhatIsNoIndex) {
  const auto refusal = [](const std::string& text) {
    return message_of([&] { parse_index(text, "i.json"); });
  };
  EXPECT_EQ(refusal("{}"), "i.json: not an index: it has no 'weight_map'");
  EXPECT_EQ(refusal("[1]"), "i.json: not an index: expected an object, found a list");
  EXPECT_EQ(refusal("7"), "i.json: not an index: expected an object, found 7");
  EXPECT_EQ(refusal("\"x\""), "i.json: not an index: expected an object, found the text 'x'");
  EXPECT_EQ(refusal(""),
            "i.json: not valid JSON: found syntax error while parsing value - unexpected end of "
            "input; expected '[', '{', or a literal (byte 1)");
  EXPECT_EQ(refusal(R"({"weight_map":{}})"), "i.json: 'weight_map' is empty");
  EXPECT_EQ(refusal(R"({"weight_map":[]})"), "i.json: 'weight_map' is a list instead of an object");
  EXPECT_EQ(refusal(R"({"weight_map":null})"), "i.json: 'weight_map' is null instead of an object");
  EXPECT_EQ(refusal(R"({"weight_map":{"a":"x.safetensors"},"weight_map":{}})"),
            "i.json: 'weight_map' is there twice");
  EXPECT_EQ(refusal(index_of(R"("a":1)")), "i.json: 'weight_map' maps 'a' to 1 instead of a file name");
  EXPECT_EQ(refusal(index_of(R"("a":{})")),
            "i.json: 'weight_map' maps 'a' to an object instead of a file name");
  EXPECT_EQ(refusal(index_of(R"("a":["x"])")),
            "i.json: 'weight_map' maps 'a' to a list instead of a file name");
  EXPECT_EQ(refusal(index_of(R"("a":"x.safetensors","a":"y.safetensors")")),
            "i.json: tensor 'a' is there twice");
}

TEST(ParseIndex, RefusesFilesOutsideTheDirectory) {
  for (const std::string path : {"../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors"})
    EXPECT_EQ(message_of([&] { parse_index(index_of("\"a\":\"" + path + "\""), "i.json"); }),
              "i.json: 'weight_map' sends 'a' to '" + path + "', which is not inside the model's directory");
  EXPECT_EQ(message_of([] { parse_index(index_of(R"("a":"x\u0000.safetensors")"), "i.json"); }),
            "i.json: 'weight_map' sends 'a' to 'x?.safetensors', which is not inside the model's directory");
  EXPECT_EQ(
      message_of([] { parse_index(index_of(R"("a":"pytorch_model-00001-of-00002.bin")"), "i.json"); }),
      "i.json: 'weight_map' sends 'a' to 'pytorch_model-00001-of-00002.bin', which is not a .safetensors "
      "file");
}

TEST(ParseIndex, SurvivesDeepNesting) {
  const std::string deep(1'000'000, '[');
  EXPECT_EQ(parse_index(
                "{\"x\":" + deep + std::string(deep.size(), ']') + R"(,"weight_map":{"a":"x.safetensors"}})",
                "i.json")
                .size(),
            1u);
}

}  // namespace
}  // namespace regroup::checkpoint
