// The ids of whole corpora against the reference library's (tests/oracle/tokenize_parity.py).
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

TEST(Corpora, HaveTheIdsOfTheReferenceLibrary) {
  if (!std::filesystem::exists(kShared / "data/corpora"))
    GTEST_SKIP() << "no " << kShared << ": the corpora are kept outside the repository";
  if (kSanitized) GTEST_SKIP() << "100 MB take minutes with sanitizers; the release build compares them";
  const testing::TempDir temporary;
  const Json rows = read_json(REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/corpora.json");
  ASSERT_EQ(rows.size(), 35u);
  for (const Json& row : rows) {
    const auto tokenizer = tokenizer::open_tokenizer(kShared / row["tokenizer"].get<std::string>());
    std::filesystem::path corpus = kShared / row["corpus"].get<std::string>();
    const auto bytes = row["bytes"].get<std::size_t>();
    if (bytes < std::filesystem::file_size(corpus)) {
      const std::string text = beginning(corpus, bytes);
      corpus = temporary / ("beginning-" + std::to_string(bytes));
      if (!std::filesystem::exists(corpus)) write_text(corpus, text);
    }
    const TokenStream stream = read_tokens({corpus}, tokenizer.get(), {});
    EXPECT_EQ(stream.tokens.size(), row["tokens"].get<std::size_t>()) << row;
    EXPECT_EQ(stream.document_starts.size(), row["documents"].get<std::size_t>()) << row;
    if (row.contains("tie")) continue;  // versions of the library differ where two segmentations tie
    EXPECT_EQ(digest(stream.tokens), row["sha256"].get<std::string>()) << row;
  }
}

}  // namespace
}  // namespace regroup::data
