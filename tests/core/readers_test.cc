// Every reader of a file that a user may hand over, taken from the tables: each has a sample here, which is
// damaged in every way that files get damaged, and a fuzz target. Whatever is left of a file, reading it ends
// in a UserError or in what it holds.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/weight_format.h"
#include "core/data/formats.h"
#include "core/family/model_directory.h"
#include "core/tokenizer/kind.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/temp_dir.h"

namespace regroup {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = REGROUP_SOURCE_DIR;
const fs::path kGoldens = kRoot / "tests/goldens";

struct Reader {
  std::string name;
  std::function<void(const fs::path& folder)> write;  // a sample that can be read
  std::string file;                                   // of it, the one that is damaged
  std::function<void(const fs::path& folder)> read;
  std::string fuzz_target;
};

void copy_files(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) fs::copy(entry.path(), to / entry.path().filename());
}

std::function<void(const fs::path&)> copy_of(const fs::path& golden) {
  return [golden](const fs::path& folder) { copy_files(kGoldens / golden, folder); };
}

std::function<void(const fs::path&)> copy_as(const fs::path& golden, const std::string& name) {
  return [golden, name](const fs::path& folder) { fs::copy(kGoldens / golden, folder / name); };
}

void read_weights(const fs::path& folder) {
  const auto checkpoint = checkpoint::Checkpoint::open(folder);
  for (std::size_t file = 0; file < checkpoint.files().size(); ++file)
    for (const auto& info : checkpoint.files()[file].header().tensors) {
      std::vector<std::byte> bytes(info.bytes());
      checkpoint.read({&info, file}, bytes);
    }
}

void read_ids(const fs::path& folder, const std::string& file, const std::string& format) {
  const auto tokenizer = tokenizer::open_tokenizer(kGoldens / "tokenizer/llama.model");
  data::read_tokens({folder / file}, tokenizer.get(), {.format = format, .vocab_size = 512, .threads = 1});
}

// By row of a table: where a sample of it comes from, and the fuzz target that reads such files. What is not
// here fails HaveASampleAndAFuzzTarget.
struct Known {
  std::function<void(const fs::path& folder)> write;
  std::string fuzz_target;
};

const std::map<std::string, Known>& known() {
  static const std::string text = "In the beginning\n<|endoftext|>\nGod created\n";
  static const std::map<std::string, Known> all = {
      {"model.safetensors", {copy_of("llama/untied"), "safetensors_header"}},
      {"model.safetensors.index.json", {copy_of("llama/sharded"), "index"}},
      {"pytorch_model.bin", {copy_of("torch_file/llama/single"), "torch_file"}},
      {"pytorch_model.bin.index.json", {copy_of("torch_file/llama/sharded"), "index"}},
      {"tokenizer.json", {copy_as("tokenizer/fast/qwen2.json", "tokenizer.json"), "tokenizer"}},
      {"tokenizer.model", {copy_as("tokenizer/llama.model", "tokenizer.model"), "tokenizer_model"}},
      {"vocab.json", {copy_of("tokenizer/fast/opt"), "tokenizer_pair"}},
      {"merges.txt", {copy_of("tokenizer/fast/opt"), "tokenizer_pair"}},
      {"text", {[](const fs::path& folder) { write_text(folder / "data", text); }, "text_file"}},
      {"jsonl",
       {[](const fs::path& folder) {
          write_text(folder / "data", "{\"text\": \"a\"}\n{\"text\": \"bcd\"}\n");
        },
        "text_file"}},
      {"llm.c", {nullptr, "token_shard"}},
      {"megatron", {nullptr, "token_shard"}},
      {"nanogpt", {nullptr, "token_shard"}},
  };
  return all;
}

void add(std::vector<Reader>& readers, const std::string& name, const std::string& file,
         std::function<void(const fs::path&)> read) {
  const auto found = known().find(name);
  if (found == known().end())
    readers.push_back({name, nullptr, file, std::move(read), ""});
  else
    readers.push_back({name, found->second.write, file, std::move(read), found->second.fuzz_target});
}

void add_data(std::vector<Reader>& readers) {
  for (const data::DataFormat& format : data::data_formats()) {
    const std::string name(format.name);
    std::string file = "data";
    if (format.write) file = format.outputs("data").front().string();
    add(readers, name, file, [name, file](const fs::path& folder) { read_ids(folder, file, name); });
    if (!format.write) continue;
    readers.back().write = [&format](const fs::path& folder) {
      const data::TokenStream stream{.tokens = {1, 2, 3, 4, 300, 5}, .document_starts = {0, 2}};
      format.write(folder / "data", stream, 512, false);
    };
    for (const fs::path& other : format.outputs("data"))  // Megatron's index
      if (other != file) {
        Reader again = readers.back();
        again.file = other.string();
        readers.push_back(std::move(again));
      }
  }
}

std::vector<Reader> readers() {
  std::vector<Reader> all;
  for (const checkpoint::Format& format : checkpoint::weight_formats())
    for (const std::string_view name : {format.single, format.index})
      add(all, std::string(name), std::string(name), read_weights);
  for (const tokenizer::Kind& kind : tokenizer::kinds())
    for (const std::string& file : kind.files)
      add(all, file, file,
          [](const fs::path& folder) { tokenizer::open_tokenizer(folder)->encode("In the beginning"); });
  add_data(all);
  all.push_back({"llama2.c", copy_of("llama2c/untied"), "model.bin",
                 [](const fs::path& folder) { family::open_model(folder / "model.bin"); }, "llama2c_file"});
  for (const auto& entry : fs::directory_iterator(kGoldens / "families"))
    if (entry.path().filename().string().ends_with("-other"))
      all.push_back({entry.path().filename(), copy_of(entry.path().lexically_relative(kGoldens)),
                     "config.json", [](const fs::path& folder) { family::open_model(folder); }, "config"});
  return all;
}

TEST(Readers, HaveASampleAndAFuzzTarget) {
  const std::string targets = read_text(kRoot / "tests/fuzz/CMakeLists.txt");
  for (const Reader& reader : readers()) {
    SCOPED_TRACE(reader.name);
    ASSERT_TRUE(reader.write) << "a sample of it belongs into known()";
    const testing::TempDir folder;
    reader.write(folder.path());
    EXPECT_NO_THROW(reader.read(folder.path()));
    EXPECT_NE(targets.find("regroup_fuzz(" + reader.fuzz_target + ")"), std::string::npos);
    EXPECT_FALSE(fs::is_empty(kRoot / "tests/fuzz/corpus" / reader.fuzz_target));
  }
}

// Configurations are one fuzz target for all families: each gives it a seed to start from.
TEST(Readers, HaveASeedForEveryFamily) {
  std::set<std::string> missing;
  for (const family::Family* family : family::families()) missing.emplace(family->name);
  for (const auto& entry : fs::directory_iterator(kRoot / "tests/fuzz/corpus/config")) {
    const std::string name = entry.path().filename();
    missing.erase(name.substr(0, name.find('-')));
  }
  EXPECT_EQ(missing, std::set<std::string>());
}

// Whether the reader refuses the sample with its file changed; anything but a UserError fails the test.
bool refuses(const Reader& reader, const std::function<void(std::string& bytes)>& change) {
  const testing::TempDir folder;
  reader.write(folder.path());
  const fs::path file = folder / reader.file;
  std::string bytes = read_text(file);
  change(bytes);
  testing::write_file(file, bytes);
  try {
    reader.read(folder.path());
  } catch (const UserError&) {
    return true;
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  return false;
}

// What is still a file of its kind when its second half is gone: the formats without a mark or a count.
TEST(Readers, RefuseAFileThatIsCutOff) {
  std::set<std::string> accepting;
  for (const Reader& reader : readers()) {
    SCOPED_TRACE(reader.name + " " + reader.file);
    EXPECT_TRUE(refuses(reader, [](std::string& bytes) { bytes.clear(); }) || reader.file == "merges.txt")
        << "merges may be none: every byte is a piece then";
    if (!refuses(reader, [](std::string& bytes) { bytes.resize(bytes.size() / 2); }))
      accepting.insert(reader.name);
  }
  EXPECT_EQ(accepting, (std::set<std::string>{"nanogpt", "text"}));
}

// Of a download that was none.
TEST(Readers, RefuseAGitLfsPointerInAFilesPlace) {
  std::set<std::string> accepting;
  for (const Reader& reader : readers()) {
    SCOPED_TRACE(reader.name + " " + reader.file);
    if (!refuses(reader, [](std::string& bytes) {
          bytes = "version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 12345\n";
        }))
      accepting.insert(reader.name);
  }
  EXPECT_EQ(accepting, std::set<std::string>{"text"});
}

TEST(Readers, SurviveEveryCutAndEveryDamagedByte) {
  for (const Reader& reader : readers()) {
    SCOPED_TRACE(reader.name + " " + reader.file);
    constexpr std::size_t kPlaces = 12;
    for (std::size_t place = 0; place < kPlaces; ++place) {
      refuses(reader, [&](std::string& bytes) { bytes.resize(bytes.size() * place / kPlaces); });
      refuses(reader, [&](std::string& bytes) { bytes[bytes.size() * place / kPlaces] ^= '\x81'; });
      refuses(reader, [&](std::string& bytes) { bytes.resize(bytes.size() + place * place + 1, '\xff'); });
    }
  }
}

TEST(Readers, RefuseAFolderInAFilesPlace) {
  for (const Reader& reader : readers()) {
    SCOPED_TRACE(reader.name + " " + reader.file);
    const testing::TempDir folder;
    reader.write(folder.path());
    fs::remove(folder / reader.file);
    fs::create_directory(folder / reader.file);
    EXPECT_THROW(reader.read(folder.path()), UserError);
  }
}

}  // namespace
}  // namespace regroup
