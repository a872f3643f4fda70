#include "eval/convention.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace regroup::eval {
namespace {

using testing::user_error_of;

// The stream 1 a b | 1 c, cut into windows.
class ConventionStream : public ::testing::Test {
 protected:
  std::vector<data::Window> windows_of(const char* name, std::int64_t window, const Specials& specials) {
    return convention(name).windows(stream_, window, specials);
  }
  data::TokenStream stream_ = [] {
    data::TokenStream stream;
    stream.tokens = {1, 10, 11, 1, 12};
    stream.document_starts = {0, 3};
    return stream;
  }();
};

TEST_F(ConventionStream, LlamaCppPutsBosBeforeEveryBlock) {
  stream_.tokens = {1, 10, 11, 12, 13, 14, 15, 16, 17};
  const std::vector<data::Window> expected = {{0, 3, 2}, {4, 3, 2}};
  EXPECT_EQ(windows_of("llama.cpp", 4, {.document_start = 1}), expected);
  EXPECT_EQ(stream_.tokens, (std::vector<data::Token>{1, 10, 11, 12, 1, 14, 15, 16, 17}));
  stream_.tokens[4] = 13;
  EXPECT_EQ(windows_of("llama.cpp", 4, {.prefix = 1}), expected);  // documents start with none
  EXPECT_EQ(stream_.tokens[4], 13);
}

TEST_F(ConventionStream, LmEvalPredictsEveryDocumentFromItsPrefix) {
  EXPECT_EQ(windows_of("lm-eval", 2, {.prefix = 2}), (std::vector<data::Window>{{0, 2}, {1, 2, 1}, {4, 2}}));
  EXPECT_EQ(stream_.tokens, (std::vector<data::Token>{2, 1, 10, 11, 2, 1, 12}));
  EXPECT_EQ(stream_.document_starts, (std::vector<std::int64_t>{0, 4}));
  EXPECT_CONTAINS(user_error_of([&] { windows_of("lm-eval", 2, {}); }), "neither BOS nor EOS");
}

TEST_F(ConventionStream, LmEvalLeavesOutDocumentsBeyondTheCut) {
  stream_.tokens.resize(2);
  EXPECT_EQ(windows_of("lm-eval", 8, {.prefix = 2}), (std::vector<data::Window>{{0, 2}}));
  EXPECT_EQ(stream_.document_starts, std::vector<std::int64_t>{0});
}

}  // namespace
}  // namespace regroup::eval
