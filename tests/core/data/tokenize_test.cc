#include "core/data/tokenize.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::data {
namespace {

using testing::TempDir;
using testing::user_error_of;

const std::filesystem::path kModel = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/llama.model";

TokenizeOptions options_for(const TempDir& temporary, const std::string& format) {
  if (!std::filesystem::exists(temporary / "a.txt"))
    write_text(temporary / "a.txt", "In the beginning\n<|endoftext|>\nGod created\n");
  return {.model = kModel, .files = {temporary / "a.txt"}, .out = temporary / "out", .format = format};
}

TEST(Tokenize, WritesTheStreamAndWhereItCameFrom) {
  const TempDir temporary;
  const TokenizeOptions options = options_for(temporary, "megatron");
  const Tokenized done = tokenize(options, Json{{"format", "megatron"}});
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const TokenStream text = read_tokens(options.files, tokenizer.get(), {});
  const TokenStream shard = read_tokens({temporary / "out"}, nullptr, {});
  EXPECT_EQ(shard.tokens, text.tokens);
  EXPECT_EQ(shard.document_starts, text.document_starts);
  EXPECT_EQ(done.tokens, static_cast<std::int64_t>(text.tokens.size()));

  const Json record = read_json(temporary / "out.json");
  EXPECT_EQ(record["command"], "tokenize");
  EXPECT_EQ(record["options"]["format"], "megatron");
  EXPECT_EQ(record["tokenizer"][0]["sha256"], sha256_of_file(kModel));
  EXPECT_EQ(record["sources"][0]["sha256"], sha256_of_file(temporary / "a.txt"));
  EXPECT_EQ(record["files"][1]["sha256"], sha256_of_file(temporary / "out.idx"));
  EXPECT_EQ(record["tokens"], text.tokens.size());
  EXPECT_EQ(record["documents"], 2);
  EXPECT_EQ(record["convention"], text.convention);
  EXPECT_EQ(record["vocab_size"], 512);
}

TEST(Tokenize, AddsNothingToShards) {
  const TempDir temporary;
  tokenize(options_for(temporary, "llm.c"), Json::object());
  TokenizeOptions again = options_for(temporary, "megatron");
  again.files = {temporary / "out"};
  again.out = temporary / "again";
  tokenize(again, Json::object());
  EXPECT_EQ(read_tokens({temporary / "again"}, nullptr, {}).tokens,
            read_tokens({temporary / "out"}, nullptr, {}).tokens);
}

TEST(Tokenize, NeverReplacesItsText) {
  const TempDir temporary;
  TokenizeOptions options = options_for(temporary, "llm.c");
  options.overwrite = true;
  options.out = temporary / "a.txt";
  EXPECT_CONTAINS(user_error_of([&] { tokenize(options, Json::object()); }),
                  "would take the place of what is read");
  write_text(temporary / "b.json", "words");
  options.out = temporary / "b";
  options.files = {temporary / "b.json"};
  EXPECT_CONTAINS(user_error_of([&] { tokenize(options, Json::object()); }),
                  "would take the place of what is read");
  EXPECT_EQ(read_text(temporary / "b.json"), "words");
}

TEST(Tokenize, RefusesWhatExistsBeforeAnyWork) {
  for (const char* existing : {"out", "out.json"}) {
    const TempDir temporary;
    write_text(temporary / existing, "the user's");
    TokenizeOptions options = options_for(temporary, "llm.c");
    options.files = {temporary / "nowhere.txt"};  // would be found out by the work
    EXPECT_CONTAINS(user_error_of([&] { tokenize(options, Json::object()); }), "exists already");
    EXPECT_EQ(read_text(temporary / existing), "the user's");
    options = options_for(temporary, "llm.c");
    options.overwrite = true;
    EXPECT_NO_THROW(tokenize(options, Json::object()));
  }
}

TEST(Tokenize, WritesNothingWhenTheTextIsWrong) {
  const TempDir temporary;
  write_text(temporary / "a.txt", "x\xff");
  EXPECT_CONTAINS(user_error_of([&] { tokenize(options_for(temporary, "llm.c"), Json::object()); }),
                  "byte 1 is not UTF-8");
  EXPECT_FALSE(std::filesystem::exists(temporary / "out"));
  EXPECT_FALSE(std::filesystem::exists(temporary / "out.json"));
}

TEST(Tokenize, RefusesFormatsThatCannotBeWritten) {
  const TempDir temporary;
  EXPECT_EQ(user_error_of([&] { tokenize(options_for(temporary, "jsonl"), Json::object()); }),
            "--format jsonl: can only be read: expected one of llm.c, megatron, nanogpt");
}

}  // namespace
}  // namespace regroup::data
