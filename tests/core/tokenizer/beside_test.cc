// Which tokenizer a file of weights without one has.
#include "core/tokenizer/beside.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/tokenizer/tokenizer.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::tokenizer {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/tokenizer/llama.model";

class Beside : public ::testing::Test {
 protected:
  void SetUp() override { write_weights(static_cast<std::int32_t>(size_)); }

  void write_weights(std::int32_t vocabulary) {
    std::string bytes(28, '\1');
    std::memcpy(bytes.data() + 20, &vocabulary, sizeof vocabulary);
    testing::write_file(weights_, bytes);
  }
  std::string refusal() {
    return testing::user_error_of([&] { open_tokenizer(weights_); });
  }

  const std::int64_t size_ = open_tokenizer(kModel)->vocab_size();
  testing::TempDir folder_;
  fs::path weights_ = folder_ / "stories.bin";
  fs::path trained_ = folder_ / ("tok" + std::to_string(size_) + ".model");
};

TEST_F(Beside, TakesTheOneThatWasTrainedForItsVocabularyFirst) {
  EXPECT_TRUE(tokenizer_files(weights_).empty());
  fs::copy_file(kModel, folder_ / "tokenizer.model");
  EXPECT_EQ(tokenizer_files(weights_), std::vector<fs::path>{folder_ / "tokenizer.model"});
  fs::copy_file(kModel, trained_);
  EXPECT_EQ(tokenizer_files(weights_), std::vector<fs::path>{trained_});
  EXPECT_EQ(open_tokenizer(weights_)->encode("Once upon"), open_tokenizer(kModel)->encode("Once upon"));
  EXPECT_TRUE(open_tokenizer(weights_)->document_start().has_value());
}

// A negative size says that the output layer is another than the embedding.
TEST_F(Beside, TheSignOfTheVocabularyIsNotItsSize) {
  write_weights(-static_cast<std::int32_t>(size_));
  EXPECT_EQ(vocabulary_of_weights(weights_), size_);
  fs::copy_file(kModel, trained_);
  EXPECT_EQ(tokenizer_files(weights_), std::vector<fs::path>{trained_});
}

TEST_F(Beside, SaysWhatItLooksFor) {
  const std::string looked = "stories.bin: no tokenizer beside it: expected tok" + std::to_string(size_) +
                             ".model or tokenizer.model";
  EXPECT_CONTAINS(refusal(), looked + ". Put the SentencePiece model that it was trained with there");
  testing::write_file(folder_ / "tokenizer.bin", "x");
  EXPECT_CONTAINS(refusal(), looked + ", found tokenizer.bin, which is not read");
}

TEST_F(Beside, RefusesOneOfMorePiecesThanTheModelHasIds) {
  fs::copy_file(kModel, folder_ / "tokenizer.model");
  write_weights(static_cast<std::int32_t>(size_ - 1));
  EXPECT_CONTAINS(refusal(), "tokenizer.model: not the tokenizer of ");
  EXPECT_CONTAINS(
      refusal(), "expected at most " + std::to_string(size_ - 1) + " pieces, found " + std::to_string(size_));
  write_weights(static_cast<std::int32_t>(size_ + 64));  // a padded vocabulary
  EXPECT_EQ(open_tokenizer(weights_)->vocab_size(), size_);
}

}  // namespace
}  // namespace regroup::tokenizer
