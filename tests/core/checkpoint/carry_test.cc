#include "core/checkpoint/carry.h"

#include <gtest/gtest.h>

#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;
using testing::write_file;

TEST(Carry, TakesEverythingBesideWeightsAndConfig) {
  const TempDir directory;
  const std::vector<fs::path> kept = {
      "README.md",       "generation_config.json", "merges.txt",           "tokenizer.json",
      "tokenizer.model", "tokenizer_config.json",  "training_record.json", "vocab.json"};
  for (const fs::path& name : kept) write_file(directory.path() / name, "x");
  for (const char* name : {"config.json",
                           "model.safetensors",
                           "model-00001-of-00002.safetensors",
                           "model.safetensors.index.json",
                           "pytorch_model.bin",
                           "pytorch_model.bin.index.json",
                           "training_args.bin",
                           "optimizer.pt",
                           "consolidated.00.pth",
                           "model.gguf",
                           "tf_model.h5",
                           "flax_model.msgpack",
                           "flax_model.msgpack.index.json",
                           "model.onnx",
                           "model.onnx_data",
                           "rust_model.ot",
                           "MODEL.GGUF",
                           ".gitattributes",
                           ".gitignore",
                           "model.safetensors.incomplete",
                           "x.part",
                           "regroup.json",
                           "REGROUP.md",
                           "metrics.jsonl",
                           ".lock"})
    write_file(directory / name, "x");
  fs::create_directories(directory / ".git");
  fs::create_directories(directory / "original");
  EXPECT_EQ(carried_files(directory.path()), kept);
}

TEST(Carry, CopiesWhatLinksLeadTo) {
  const TempDir cache;
  fs::create_directories(cache / "blobs");
  fs::create_directories(cache / "snapshot");
  const std::string content = std::string(5 << 20, 'x') + "end";
  write_file(cache / "blobs/00", content);
  fs::create_symlink("../blobs/00", cache / "snapshot/tokenizer.json");
  EXPECT_EQ(carried_files(cache / "snapshot"), std::vector<fs::path>{"tokenizer.json"});
  copy_file_synced(cache / "snapshot/tokenizer.json", cache / "copy");
  EXPECT_FALSE(fs::is_symlink(cache / "copy"));
  EXPECT_EQ(testing::file_bytes(cache / "copy"), content);
  write_file(cache / "blobs/00", "");
  copy_file_synced(cache / "snapshot/tokenizer.json", cache / "empty");
  EXPECT_EQ(testing::file_bytes(cache / "empty"), "");
}

TEST(Carry, SaysThatALinkLeadsNowhere) {
  const TempDir directory;
  fs::create_symlink("../blobs/00", directory / "tokenizer.json");
  EXPECT_EQ(testing::message_of([&] { carried_files(directory.path()); }),
            (directory / "tokenizer.json").string() +
                ": a link to a file that is not there: found ../blobs/00. Was the download cut off?");
}

}  // namespace
}  // namespace regroup::checkpoint
