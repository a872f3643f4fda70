// Against llama.cpp's own converter: the same metadata, the same tensors, to the bit
// (tests/oracle/export_goldens.py); and what is refused.
#include "export/export.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/half.h"
#include "core/base/hash.h"
#include "export/architecture.h"
#include "export/tokenizer_metadata.h"
#include "export/weight_type.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_file.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_dir.h"

namespace regroup::exporting {
namespace {

namespace fs = std::filesystem;
using testing::GgufFile;
using testing::user_error_of;

const fs::path kAllGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests" / "goldens";
const fs::path kGoldens = kAllGoldens / "export";

class Export : public ::testing::Test {
 protected:
  // A golden's model beside the tokenizer that all of them share.
  fs::path model(const std::string& golden) {
    const fs::path directory = directory_ / golden, here = fs::exists(kGoldens / golden)
                                                               ? kGoldens / golden
                                                               : kAllGoldens / "families" / golden;
    fs::copy(here, directory, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    fs::remove(directory / "expected.safetensors");
    add_tokenizer(directory);
    return directory;
  }

  void add_tokenizer(const fs::path& directory) {
    for (const char* name : {"tokenizer.model", "tokenizer_config.json"})
      fs::copy_file(kGoldens / name, directory / name, fs::copy_options::overwrite_existing);
  }

  ExportOptions options(const fs::path& source, const std::string& dtype = "") {
    return {.model = source, .output = directory_ / "out.gguf", .dtype = dtype};
  }

  GgufFile exported(const ExportOptions& chosen) {
    export_gguf(chosen, Json::object());
    return testing::parse_gguf(read_text(chosen.output));
  }

  std::string refusal(const ExportOptions& chosen) {
    return user_error_of([&] { export_gguf(chosen, Json::object()); });
  }

  // The files of the folder besides the models' folders.
  std::vector<std::string> files() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      if (entry.is_regular_file() || entry.path().filename().string().starts_with("."))
        names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }

  testing::TempDir directory_;
};

std::vector<std::string> goldens() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens))
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

// What the two converters may say differently. Theirs leaves out what is the default and what a graph does
// not read, and tells what the tokenizer's own family would.
const std::set<std::string> kWordsOfOne = {"general.name",
                                           "general.size_label",
                                           "general.file_type",
                                           "tokenizer.ggml.add_space_prefix",
                                           "tokenizer.ggml.add_sep_token",
                                           "tokenizer.ggml.unknown_token_id",
                                           "tokenizer.ggml.add_bos_token"};
const std::set<std::string> kKeysOfOne = {"vocab_size",
                                          "attention.key_length",
                                          "attention.value_length",
                                          "attention.head_count_kv",
                                          "rope.dimension_count",
                                          "rope.freq_base",
                                          "attention.max_alibi_bias",
                                          "attention.sliding_window",
                                          "rope.scaling.original_context_length",
                                          "rope.scaling.type"};
// What theirs guesses from the hidden width instead of reading it.
const std::map<std::string, std::set<std::string>> kGuesses = {
    {"phi2", {"feed_forward_length"}},
    {"gpt2", {"feed_forward_length"}},
    {"starcoder", {"feed_forward_length"}},
    {"bloom", {"feed_forward_length", "context_length"}}};

bool may_differ(const std::string& key, const std::string& architecture) {
  if (kWordsOfOne.contains(key)) return true;
  if (!key.starts_with(architecture + ".")) return false;
  const std::string own = key.substr(architecture.size() + 1);
  const auto guesses = kGuesses.find(architecture);
  return kKeysOfOne.contains(own) || (guesses != kGuesses.end() && guesses->second.contains(own));
}

void expect_same_metadata(const GgufFile& ours, const GgufFile& theirs, const std::string& architecture) {
  for (const auto& [key, value] : theirs.metadata) {
    if (!ours.metadata.contains(key)) {
      EXPECT_TRUE(may_differ(key, architecture)) << key << " is not in ours";
    } else if (!may_differ(key, architecture) || kKeysOfOne.contains(key.substr(key.find('.') + 1))) {
      EXPECT_EQ(ours.metadata.at(key), value) << key;
      EXPECT_EQ(ours.types.at(key), theirs.types.at(key)) << key;
    }
  }
  for (const auto& [key, value] : ours.metadata)
    EXPECT_TRUE(theirs.metadata.contains(key) || may_differ(key, architecture)) << key << " is not in theirs";
}

TEST_F(Export, EqualsLlamaCppsConverter) {
  const Json dtypes = read_json(kGoldens / "provenance.json")["dtypes"];
  ASSERT_GE(goldens().size(), 15u);
  for (const std::string& golden : goldens()) {
    SCOPED_TRACE(golden);
    ExportOptions chosen = options(model(golden), dtypes.at(golden));
    chosen.overwrite = true;
    const GgufFile ours = exported(chosen),
                   theirs = testing::parse_gguf(read_text(kGoldens / (golden + ".gguf")));
    expect_same_metadata(ours, theirs, ours.metadata.at("general.architecture"));
    EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
    for (const auto& [name, tensor] : theirs.tensors) {
      ASSERT_TRUE(ours.tensors.contains(name)) << name;
      const auto& own = ours.tensors.at(name);
      EXPECT_EQ(own.extents, tensor.extents) << name;
      EXPECT_EQ(own.type, tensor.type) << name;
      EXPECT_TRUE(own.bytes == tensor.bytes) << name << " holds other numbers";
    }
  }
}

// A set difference: no architecture without a golden.
TEST_F(Export, HasAGoldenForEveryArchitecture) {
  std::set<std::string> missing;
  for (const Architecture& architecture : architectures()) missing.emplace(architecture.name);
  for (const std::string& golden : goldens()) {
    const auto file = testing::parse_gguf(read_text(kGoldens / (golden + ".gguf")));
    missing.erase(file.metadata.at("general.architecture").get<std::string>());
  }
  EXPECT_EQ(missing, std::set<std::string>());
}

TEST_F(Export, TakesTheTypeOfTheModelUnlessToldOtherwise) {
  EXPECT_EQ(export_gguf(options(model("llama_tied")), Json::object()).dtype, "bf16");
  const GgufFile file = testing::parse_gguf(read_text(directory_ / "out.gguf"));
  EXPECT_EQ(file.metadata.at("general.file_type"), 32);
  EXPECT_EQ(file.tensors.at("token_embd.weight").type, 30u);
  EXPECT_EQ(file.tensors.at("output_norm.weight").type, 0u);
  for (const WeightType& type : weight_types()) {
    ExportOptions chosen = options(model("llama_gqa"), std::string(type.name));
    chosen.overwrite = true;
    const GgufFile chosen_file = exported(chosen);
    EXPECT_EQ(chosen_file.metadata.at("general.file_type"), type.file_type);
    EXPECT_EQ(chosen_file.tensors.at("blk.0.attn_q.weight").type, static_cast<std::uint32_t>(type.type));
    EXPECT_EQ(chosen_file.tensors.at("blk.0.attn_q.bias").type, 0u);
  }
  EXPECT_CONTAINS(refusal({.model = model("llama_gqa"), .output = directory_ / "other", .dtype = "q4_0"}),
                  "--dtype: expected one of fp32, fp16, bf16, q8_0, found q4_0");
}

// 24 numbers a row are no blocks of 32.
TEST_F(Export, FallsBackToHalvesWhereRowsAreNoBlocks) {
  Json config = testing::tiny_llama();
  testing::write_model(directory_ / "tiny", config, testing::required_tensors(config));
  add_tokenizer(directory_ / "tiny");
  const GgufFile file = exported(options(directory_ / "tiny", "q8_0"));
  EXPECT_EQ(file.metadata.at("general.file_type"), 7);
  const testing::GgufTensor& query = file.tensors.at("blk.0.attn_q.weight");
  EXPECT_EQ(query.type, 1u);
  std::uint16_t first;
  std::memcpy(&first, query.bytes.data(), sizeof(first));
  EXPECT_EQ(half_to_float(first), 1.0F);
}

TEST_F(Export, RecordsWhereTheFileCameFrom) {
  const fs::path source = model("llama_gqa");
  const Exported done = export_gguf(options(source), {{"dtype", "fp32"}});
  const Json record = read_json(done.record);
  EXPECT_EQ(done.record, directory_ / "out.gguf.json");
  EXPECT_EQ(record["options"]["dtype"], "fp32");
  EXPECT_EQ(record["architecture"], "llama");
  EXPECT_EQ(record["kv_heads"], 2);
  EXPECT_EQ(record["file"]["sha256"], sha256_of_file(directory_ / "out.gguf"));
  EXPECT_EQ(record["sources"][0]["sha256"], sha256_of_file(source / "model.safetensors"));
}

TEST_F(Export, NeverDamagesWhatIsThere) {
  const fs::path source = model("llama_gqa");
  write_text(directory_ / "out.gguf", "precious");
  EXPECT_CONTAINS(refusal(options(source)), "exists already");
  EXPECT_EQ(read_text(directory_ / "out.gguf"), "precious");
  ExportOptions replace = options(source);
  replace.overwrite = true;
  fs::remove(source / "tokenizer.model");
  EXPECT_CONTAINS(refusal(replace), "no tokenizer");
  EXPECT_EQ(read_text(directory_ / "out.gguf"), "precious");
  EXPECT_EQ(files(), std::vector<std::string>{"out.gguf"});
  add_tokenizer(source);
  EXPECT_EQ(exported(replace).metadata.at("general.architecture"), "llama");
  EXPECT_EQ(files(), (std::vector<std::string>{"out.gguf", "out.gguf.json"}));
}

TEST_F(Export, NeverReplacesItsSource) {
  const fs::path source = model("llama_gqa");
  const std::string weights = read_text(source / "model.safetensors");
  ExportOptions chosen = options(source);
  chosen.overwrite = true;
  for (const char* name : {"model.safetensors", "config.json", "config"}) {
    chosen.output = source / name;
    EXPECT_CONTAINS(refusal(chosen), "would take the place of what is read");
  }
  EXPECT_EQ(read_text(source / "model.safetensors"), weights);
}

TEST_F(Export, RefusesWhatCannotBeWritten) {
  const fs::path source = model("llama_gqa");
  ExportOptions chosen = options(source);
  chosen.output = directory_ / "nowhere" / "out.gguf";
  EXPECT_CONTAINS(refusal(chosen), "its directory does not exist");
  chosen.output = source;
  chosen.overwrite = true;
  EXPECT_CONTAINS(refusal(chosen), "is not a regular file");
}

// One weight of a checkpoint, and what is said of it.
TEST_F(Export, RefusesNumbersThatTheTypeDoesNotHold) {
  const auto with_weight = [&](float value) {
    const Json config = testing::tiny_llama();
    testing::FileTensors tensors = testing::required_tensors(config);
    auto& bytes = tensors.at("model.layers.0.mlp.up_proj.weight").bytes;
    std::memcpy(bytes.data() + 4 * sizeof(float), &value, sizeof(float));
    const fs::path directory = directory_ / "tiny";
    fs::remove_all(directory);
    testing::write_model(directory, config, tensors);
    add_tokenizer(directory);
    return directory;
  };
  const std::string name = "'model.layers.0.mlp.up_proj.weight' holds ";
  EXPECT_CONTAINS(refusal(options(with_weight(70000), "fp16")),
                  name + "numbers beyond the range of F16: found 70000. Choose --dtype bf16 or fp32");
  EXPECT_CONTAINS(refusal(options(with_weight(std::nanf("")), "fp32")), name + "a NaN or an infinity");
  EXPECT_CONTAINS(refusal(options(with_weight(-INFINITY), "bf16")), name + "a NaN or an infinity");
  EXPECT_EQ(files(), std::vector<std::string>()) << "nothing half-written is left";
  EXPECT_EQ(exported(options(with_weight(70000), "bf16")).metadata.at("general.file_type"), 32);
}

TEST_F(Export, RefusesATiedHeadThatSaysSomethingElse) {
  Json config = testing::tiny_llama();
  config["tie_word_embeddings"] = true;
  testing::FileTensors tensors = testing::required_tensors(config);
  tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight");
  testing::write_model(directory_ / "tiny", config, tensors);
  add_tokenizer(directory_ / "tiny");
  EXPECT_FALSE(exported(options(directory_ / "tiny")).tensors.contains("output.weight"));

  tensors["lm_head.weight"] = testing::FileTensor::of_floats({5, 8}, 2);
  testing::write_model(directory_ / "tiny", config, tensors);
  ExportOptions again = options(directory_ / "tiny");
  again.overwrite = true;
  EXPECT_CONTAINS(refusal(again), "'lm_head.weight' differs from the embedding");
}

TEST(ExportArchitecture, NamesWhatItCannotDo) {
  family::Family stranger = *family::families().front();
  stranger.name = "stranger";
  family::ModelDirectory model;
  model.path = "somewhere";
  model.family = &stranger;
  EXPECT_CONTAINS(user_error_of([&] { architecture_for(model); }),
                  "somewhere: regroup does not write the stranger family as GGUF: expected a model of one of "
                  "the families llama");
}

tokenizer::Vocabulary vocabulary() {
  using tokenizer::PieceKind;
  return {
      .model = "llama",
      .pre = "default",
      .pieces = {{"<unk>", 0, PieceKind::kUnknown}, {"<s>", 0, PieceKind::kControl}, {"▁a", -1}, {"b", -2}},
      .bos = 1,
      .eos = 3,
      .unknown = 0,
      .document_start = true,
      .space_prefix = true};
}

std::map<std::string, gguf::Value> as_map(const gguf::Metadata& metadata) {
  return {metadata.begin(), metadata.end()};
}

template <typename T>
std::vector<T> array(const std::map<std::string, gguf::Value>& metadata, const std::string& key) {
  return std::get<std::vector<T>>(std::get<gguf::Array>(metadata.at(key)));
}

TEST(ExportTokenizer, TakesTheChatTemplateAlong) {
  const testing::TempDir folder;
  const auto taken = [&] {
    gguf::Metadata metadata;
    add_chat_template(folder.path(), metadata);
    return metadata.empty() ? std::string()
                            : std::get<std::string>(as_map(metadata).at("tokenizer.chat_template"));
  };
  EXPECT_EQ(taken(), "");
  testing::write_file(folder / "tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(taken(), "");
  testing::write_file(folder / "tokenizer_config.json", R"({"chat_template": "{{ old }}"})");
  EXPECT_EQ(taken(), "{{ old }}");
  testing::write_file(folder / "chat_template.jinja", "{{ new }}");
  EXPECT_EQ(taken(), "{{ new }}");
}

TEST(ExportTokenizer, FillsTheModelsVocabularyWithPiecesOfTheirOwn) {
  tokenizer::Vocabulary few = vocabulary();
  few.pieces[3].text = "[PAD5]";
  const auto metadata = as_map(tokenizer_metadata(few, 6, "tokenizer"));
  EXPECT_EQ(array<std::string>(metadata, "tokenizer.ggml.tokens"),
            (std::vector<std::string>{"<unk>", "<s>", "▁a", "[PAD5]", "[PAD4]", "[[PAD5]#5]"}));
  EXPECT_EQ(array<std::int32_t>(metadata, "tokenizer.ggml.token_type"),
            (std::vector<std::int32_t>{2, 3, 1, 1, 5, 5}));
  EXPECT_EQ(array<float>(metadata, "tokenizer.ggml.scores"),
            (std::vector<float>{0, 0, -1, -2, -10000, -10000}));
}

TEST(ExportTokenizer, LeavesOutWhatTheModelHasNoRowFor) {
  const auto metadata = as_map(tokenizer_metadata(vocabulary(), 3, "tokenizer"));
  EXPECT_EQ(array<std::string>(metadata, "tokenizer.ggml.tokens").size(), 3u);
  EXPECT_FALSE(metadata.contains("tokenizer.ggml.eos_token_id"));
  EXPECT_EQ(std::get<std::uint32_t>(metadata.at("tokenizer.ggml.bos_token_id")), 1u);
}

TEST(ExportTokenizer, WritesMergesOfByteLevelBpe) {
  tokenizer::Vocabulary bpe = vocabulary();
  bpe.model = "gpt2";
  bpe.pre = "gpt-2";
  bpe.merges = {"a b", "ab c"};
  bpe.padding = 2;
  bpe.document_start = bpe.space_prefix = false;
  const auto metadata = as_map(tokenizer_metadata(bpe, 4, "tokenizer"));
  EXPECT_EQ(array<std::string>(metadata, "tokenizer.ggml.merges"), bpe.merges);
  EXPECT_FALSE(metadata.contains("tokenizer.ggml.scores"));
  EXPECT_EQ(std::get<std::uint32_t>(metadata.at("tokenizer.ggml.padding_token_id")), 2u);
  EXPECT_FALSE(std::get<bool>(metadata.at("tokenizer.ggml.add_bos_token")));
  EXPECT_FALSE(std::get<bool>(metadata.at("tokenizer.ggml.add_space_prefix")));
}

TEST(ExportTokenizer, RefusesWhatLlamaCppDoesNotFollow) {
  tokenizer::Vocabulary unigram = vocabulary();
  unigram.model = "t5";
  EXPECT_CONTAINS(user_error_of([&] { tokenizer_metadata(unigram, 4, "there"); }),
                  "there: a kind of tokenizer that cannot be exported: expected SentencePiece BPE (llama) or "
                  "byte-level BPE (gpt2), found a unigram model");
  tokenizer::Vocabulary unnamed = vocabulary();
  unnamed.pre = "";
  EXPECT_CONTAINS(user_error_of([&] { tokenizer_metadata(unnamed, 4, "there"); }),
                  "regroup has no llama.cpp name for how this tokenizer cuts a text into words");
}

}  // namespace
}  // namespace regroup::exporting
