#include "core/checkpoint/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/safetensors.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;
using testing::file_bytes;
using testing::message_of;
using testing::TempDir;
using testing::write_file;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/torch_file";
constexpr const char* kSaveAgain =
    ". Load it with from_pretrained() and save it again with save_pretrained(), which writes safetensors";

std::string bytes_of(const TensorFile& file, const TensorInfo& tensor) {
  std::string bytes(tensor.bytes(), '\0');
  file.read(tensor, 0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// The same tensors in the same order, with the same bytes, wherever those lie.
void expect_same_tensors(const TensorFile& file, const TensorFile& expected) {
  ASSERT_EQ(file.header().tensors.size(), expected.header().tensors.size());
  for (std::size_t i = 0; i < file.header().tensors.size(); ++i) {
    const TensorInfo &tensor = file.header().tensors[i], &other = expected.header().tensors[i];
    EXPECT_EQ(tensor.name, other.name);
    EXPECT_EQ(tensor.dtype, other.dtype) << tensor.name;
    EXPECT_EQ(tensor.shape, other.shape) << tensor.name;
    EXPECT_EQ(bytes_of(file, tensor), bytes_of(expected, other)) << tensor.name;
  }
  EXPECT_EQ(file.header().metadata, expected.header().metadata);
}

const TensorInfo& named(const TensorFile& file, const std::string& name) {
  const auto found = std::ranges::find(file.header().tensors, name, &TensorInfo::name);
  EXPECT_NE(found, file.header().tensors.end()) << name;
  return *found;
}

class TorchFile : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchFile, HoldsWhatTheSafetensorsFileOfTheSameTensorsHolds) {
  expect_same_tensors(open_torch_file(kGoldens / GetParam()),
                      open_safetensors(kGoldens / "expected.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Protocols, TorchFile,
                         ::testing::Values("protocol_2.bin", "protocol_3.bin", "protocol_4.bin",
                                           "protocol_5.bin", "dict.bin"));

TEST(TorchFile, TensorsThatShareAStorageAreTheSameBytes) {
  const TensorFile file = open_torch_file(kGoldens / "protocol_2.bin");
  const TensorInfo &whole = named(file, "embed.weight"), &tied = named(file, "head.weight"),
                   &rows = named(file, "rows");
  EXPECT_EQ(whole.begin, tied.begin);
  EXPECT_EQ(whole.end, tied.end);
  EXPECT_EQ(rows.begin, whole.begin + 3 * 4);
  EXPECT_EQ(rows.end, whole.begin + 9 * 4);
}

// What torch.save wrote around a storage of 4 GiB and a page, which is a hole here.
TEST(TorchFile, ReadsFilesBeyondFourGibibytes) {
  const TempDir directory;
  const fs::path path = directory / "zip64.bin";
  const std::string head = file_bytes(kGoldens / "zip64.head"), tail = file_bytes(kGoldens / "zip64.tail");
  const std::uint64_t large = (std::uint64_t{4} << 30) + 4096;
  write_file(path, head);
  fs::resize_file(path, head.size() + large);
  {
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file << tail;
  }
  const TensorFile file = open_torch_file(path);
  EXPECT_EQ(named(file, "large").begin, head.size());
  EXPECT_EQ(named(file, "large").bytes(), large);
  EXPECT_EQ(bytes_of(file, named(file, "before")), "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc");
  EXPECT_EQ(bytes_of(file, named(file, "after")), "\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd");
}

std::string refusal_of(const fs::path& path) {
  const std::string text = message_of([&] { open_torch_file(path); });
  EXPECT_TRUE(text.starts_with(path.string() + ": ")) << text;
  return text.substr(std::min(text.size(), path.string().size() + 2));
}

std::string refusal_of_golden(const std::string& name) {
  return refusal_of(kGoldens / "refused" / name);
}

TEST(TorchFile, NamesWhatADangerousPickleAsksFor) {
  const std::string rest =
      ", which weights do not need. Nothing of it was run. Take the model as safetensors, from a source that "
      "you trust";
  EXPECT_EQ(refusal_of_golden("os_system.bin"),
            "not safe to load: its pickle asks for 'posix.system'" + rest);
  EXPECT_EQ(refusal_of_golden("os_system_protocol_4.bin"),
            "not safe to load: its pickle asks for 'posix.system'" + rest);
  EXPECT_EQ(refusal_of_golden("module.bin"),
            "not safe to load: its pickle asks for 'torch.nn.modules.linear.Linear'" + rest);
  EXPECT_EQ(refusal_of_golden("complex.bin"),
            "not safe to load: its pickle asks for 'torch.ComplexFloatStorage'" + rest);
}

TEST(TorchFile, RefusesWhatIsNoDictionaryOfTensorsInOrder) {
  EXPECT_EQ(
      refusal_of_golden("transposed.bin"),
      "tensor 'turned' is not stored in the order of its elements (a transposed or strided view): found "
      "shape [3, 2] with strides [1, 3]" +
          std::string(kSaveAgain));
  EXPECT_EQ(
      refusal_of_golden("columns.bin"),
      "tensor 'weight' is not stored in the order of its elements (a transposed or strided view): found "
      "shape [4, 2] with strides [4, 1]" +
          std::string(kSaveAgain));
  EXPECT_EQ(refusal_of_golden("negative.bin"),
            "tensor 'weight' is a conjugate or negative view" + std::string(kSaveAgain));
  EXPECT_EQ(refusal_of_golden("nested.bin"),
            "entry 'model' is not a tensor: found a dictionary. torch.save() the model's state_dict(), and "
            "nothing else");
  EXPECT_EQ(refusal_of_golden("list.bin"),
            "not a dictionary of tensors: found a list. torch.save() the model's state_dict()");
}

TEST(TorchFile, RefusesOtherFilesByWhatTheyAre) {
  EXPECT_EQ(refusal_of_golden("legacy.bin"),
            "saved in the format of PyTorch before 1.6, which is not read" + std::string(kSaveAgain));
  EXPECT_EQ(refusal_of_golden("pickle.bin"),
            "not a file of torch.save: expected a zip archive, found a bare pickle");
  EXPECT_EQ(refusal_of_golden("other_zip.bin"),
            "not a file of torch.save: a zip archive: expected one NAME/data.pkl, found none");
  EXPECT_EQ(refusal_of_golden("torchscript.bin"),
            "entry 'torchscript/code/__torch__/torch/nn/modules/linear.py' of the zip archive is compressed, "
            "which torch.save never does. Load the file and torch.save() its state_dict()");
  const TempDir directory;
  const fs::path path = directory / "m.bin";
  write_file(path, "");
  EXPECT_EQ(refusal_of(path), "not a file of torch.save: expected a zip archive, found an empty file");
  write_file(path, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  EXPECT_EQ(refusal_of(path), "a Git LFS pointer, not the file itself. Fetch the file with: git lfs pull");
  write_file(path, file_bytes(kGoldens / "expected.safetensors"));
  EXPECT_EQ(refusal_of(path), "not a file of torch.save: expected a zip archive, found something else");
}

TEST(TorchFile, RefusesCompressedEntries) {
  EXPECT_EQ(
      refusal_of_golden("deflated.bin"),
      "entry 'protocol_2/data/1' of the zip archive is compressed, which torch.save never does. Load the "
      "file and torch.save() its state_dict()");
}

TEST(TorchFile, RefusesArchivesThatDoNotFitTheirPickle) {
  EXPECT_EQ(refusal_of_golden("big_endian.bin"),
            "byte order of the tensors: expected 'little', found 'big'" + std::string(kSaveAgain));
  EXPECT_EQ(refusal_of_golden("short_storage.bin"),
            "tensor 'of.float32' has a storage of 6 elements of F32 in an entry of 23 bytes");
  EXPECT_EQ(refusal_of_golden("no_storage.bin"),
            "tensor 'of.bfloat16' has a storage that the archive lacks: 'data/3'. Was the download cut off?");
}

// A checkpoint of another library's making, cut off anywhere: never a crash, never a wrong tensor.
TEST(TorchFile, RefusesAFileThatIsCutOffAnywhere) {
  const std::string whole = file_bytes(kGoldens / "refused/columns.bin");
  const TempDir directory;
  const fs::path path = directory / "m.bin";
  for (std::size_t size = 4; size < whole.size(); size += 7) {
    write_file(path, whole.substr(0, size));
    EXPECT_NE(refusal_of(path).find("Was the download cut off?"), std::string::npos) << size;
  }
}

TEST(Checkpoint, OpensShardsOfTorchSave) {
  const Checkpoint checkpoint = Checkpoint::open(kGoldens / "llama/sharded");
  EXPECT_TRUE(checkpoint.sharded());
  ASSERT_EQ(checkpoint.files().size(), 4u);
  const Checkpoint expected = Checkpoint::open(fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama/sharded");
  EXPECT_EQ(checkpoint.data_bytes(), expected.data_bytes());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(checkpoint.safetensors_name(i), expected.files()[i].path().filename());
    expect_same_tensors(checkpoint.files()[i], expected.files()[i]);
  }
}

TEST(Checkpoint, PrefersSafetensorsToTorchSaveAsTransformersDoes) {
  const TempDir directory;
  fs::copy_file(kGoldens / "protocol_2.bin", directory / "pytorch_model.bin");
  EXPECT_EQ(Checkpoint::open(directory.path()).safetensors_name(0), "model.safetensors");
  EXPECT_NE(Checkpoint::open(directory.path()).find("head.weight"), nullptr);
  const fs::path sharded = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/llama/sharded";
  for (const auto& file : fs::directory_iterator(sharded))
    fs::copy_file(file.path(), directory.path() / file.path().filename());
  EXPECT_EQ(Checkpoint::open(directory.path()).files().size(), 4u);
  EXPECT_EQ(Checkpoint::open(directory.path()).find("head.weight"), nullptr);
}

TEST(Checkpoint, ChecksAnIndexOfTorchSaveAsAnyOther) {
  const TempDir directory;
  for (const auto& file : fs::directory_iterator(kGoldens / "llama/sharded"))
    fs::copy_file(file.path(), directory.path() / file.path().filename());
  fs::remove(directory / "pytorch_model-00003-of-00004.bin");
  const std::string text = message_of([&] { Checkpoint::open(directory.path()); });
  EXPECT_EQ(text, (directory / "pytorch_model.bin.index.json").string() +
                      ": index and shards do not belong together: found "
                      "'pytorch_model-00003-of-00004.bin' is not there. Was the download cut off?");
  write_file(directory / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"x.safetensors"}})");
  EXPECT_EQ(message_of([&] { Checkpoint::open(directory.path()); }),
            (directory / "pytorch_model.bin.index.json").string() +
                ": 'weight_map' sends 'a' to 'x.safetensors', which is not a .bin file");
}

}  // namespace
}  // namespace regroup::checkpoint
