// The ids of whole corpora against the reference libraries' (tests/oracle/tokenizer_digests.py,
// fast_tokenizers.py).
#include <gtest/gtest.h>

#include <bit>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/data/token_stream.h"
#include "tests/support/temp_dir.h"

namespace regroup::data {
namespace {

const std::filesystem::path kShared = REGROUP_SOURCE_DIR "/../shared";

std::string digest(const std::vector<Token>& tokens) {
  static_assert(std::endian::native == std::endian::little);
  Sha256 hash;
  hash.update(std::as_bytes(std::span(tokens)));
  return hash.hex();
}

// The first `bytes` bytes without a character that is cut in two, as the script reads them.
std::string beginning(const std::filesystem::path& path, std::size_t bytes) {
  std::string text = read_text(path);
  check(text.size() >= bytes, "the corpus is the one that the goldens were made from");
  text.resize(bytes);
  return text;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// A row's corpus, or a file of its beginning.
std::filesystem::path corpus_of(const Json& row, const testing::TempDir& temporary) {
  const std::filesystem::path corpus = kShared / row["corpus"].get<std::string>();
  const auto bytes = row["bytes"].get<std::size_t>();
  if (bytes >= std::filesystem::file_size(corpus)) return corpus;
  const std::filesystem::path part = temporary / ("beginning-" + std::to_string(bytes));
  if (!std::filesystem::exists(part)) write_text(part, beginning(corpus, bytes));
  return part;
}

// Compares every row of `goldens`; `document_start`: its documents start with BOS where the tokenizer asks.
void compare(const Json& goldens, bool document_start) {
  const testing::TempDir temporary;
  for (const Json& row : goldens) {
    const auto tokenizer = tokenizer::open_tokenizer(kShared / row["tokenizer"].get<std::string>());
    const TokenStream stream =
        read_tokens({corpus_of(row, temporary)}, tokenizer.get(), {.document_start = document_start});
    EXPECT_EQ(stream.tokens.size(), row["tokens"].get<std::size_t>()) << row;
    if (row.contains("documents")) {
      EXPECT_EQ(stream.document_starts.size(), row["documents"].get<std::size_t>()) << row;
    }
    if (row.contains("tie")) continue;  // versions of the library differ where two segmentations tie
    EXPECT_EQ(digest(stream.tokens), row["sha256"].get<std::string>()) << row;
  }
}

class Corpora : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kShared / "data/corpora"))
      GTEST_SKIP() << "no " << kShared << ": the corpora are kept outside the repository";
    if (kSanitized) GTEST_SKIP() << "100 MB take minutes with sanitizers; the release build compares them";
  }
  const std::filesystem::path goldens_ = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer";
};

TEST_F(Corpora, HaveTheIdsOfSentencePiece) {
  const Json goldens = read_json(goldens_ / "corpora.json");
  ASSERT_EQ(goldens.size(), 35u);
  compare(goldens, true);
}

TEST_F(Corpora, HaveTheIdsOfHuggingFacesTokenizers) {
  const Json goldens = read_json(goldens_ / "fast/corpora.json");
  ASSERT_EQ(goldens.size(), 22u);
  compare(goldens, false);
}

TEST_F(Corpora, HaveTheSameIdsFromTheTwoFilesAsFromTheOne) {
  const auto gpt2 = kShared / "data/tokenizers/gpt2";
  const std::string text = read_text(kShared / "data/corpora/tinyshakespeare.txt");
  EXPECT_EQ(digest(tokenizer::open_tokenizer(gpt2 / "vocab.json")->encode(text)),
            digest(tokenizer::open_tokenizer(gpt2 / "tokenizer.json")->encode(text)));
}

}  // namespace
}  // namespace regroup::data
