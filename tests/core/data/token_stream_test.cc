#include "core/data/token_stream.h"

#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/gzip.h"
#include "tests/support/temp_dir.h"

namespace regroup::data {
namespace {

using Views = std::vector<std::string_view>;
using testing::TempDir;
using testing::user_error_of;

const std::filesystem::path kModel = REGROUP_SOURCE_DIR "/tests/goldens/tokenizer/llama.model";

std::filesystem::path file_with(const TempDir& temporary, const std::string& name, std::string_view text) {
  std::filesystem::remove(temporary / name);
  write_text(temporary / name, text);
  return temporary / name;
}

TEST(SplitDocuments, CutsAtLinesThatHoldOnlyTheSeparator) {
  EXPECT_EQ(split_documents("a\n<|endoftext|>\nb"), (Views{"a", "b"}));
  EXPECT_EQ(split_documents("<|endoftext|>\na\n<|endoftext|>"), (Views{"a"}));
  EXPECT_EQ(split_documents("a\r\n<|endoftext|>\r\nb\r\n"), (Views{"a", "b"}));
  EXPECT_EQ(split_documents("a\n<|endoftext|>\r"), (Views{"a"}));
  EXPECT_EQ(split_documents("a <|endoftext|>\nb"), (Views{"a <|endoftext|>\nb"}));
  EXPECT_EQ(split_documents("a\n<|endoftext|> b"), (Views{"a\n<|endoftext|> b"}));
  EXPECT_EQ(split_documents("a\n<|endoftext|><|endoftext|>\nb"), (Views{"a\n<|endoftext|><|endoftext|>\nb"}));
}

TEST(SplitDocuments, StripsNewlinesOnlyAndDropsWhatIsEmpty) {
  EXPECT_EQ(split_documents("\n\n a \t\n\n<|endoftext|>\n\n\n<|endoftext|>\n\nb\r"), (Views{" a \t", "b\r"}));
  EXPECT_EQ(split_documents("\r\n\na\n\r\n"), (Views{"a"}));
  EXPECT_EQ(split_documents("\n<|endoftext|>\n"), Views{});
  EXPECT_EQ(split_documents(""), Views{});
}

TEST(RequireUtf8, AcceptsEveryCharacter) {
  EXPECT_NO_THROW(require_utf8(std::string_view("\0\x7f", 2), "x"));
  EXPECT_NO_THROW(require_utf8("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf", "x"));
  EXPECT_NO_THROW(require_utf8("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", "x"));
}

TEST(RequireUtf8, NamesTheFirstByteThatIsWrong) {
  const auto refused = [](std::string_view bytes) {
    return user_error_of([&] { require_utf8("ab" + std::string(bytes) + "c", "f.txt"); });
  };
  EXPECT_EQ(
      refused("\xff"),
      "f.txt: byte 2 is not UTF-8: found 0xff. Convert it with iconv; token shards without a header are "
      "read with --data-format nanogpt");
  for (const char* wrong :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x9f\x98"})
    EXPECT_CONTAINS(refused(wrong), "byte 2 is not UTF-8");
}

// len(re.split(r"\s+", document)) in Python, document by document.
TEST(ReadTokens, CountsTheWordsOfEveryDocument) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto words = [&](std::string_view text) {
    return read_tokens({file_with(temporary, "words.txt", text)}, tokenizer.get(), {}).text_words;
  };
  EXPECT_EQ(words("In the  beginning\n\tGod"), 4);
  EXPECT_EQ(words(" a "), 3);  // an empty one at each end
  EXPECT_EQ(words("a\n<|endoftext|>\nb c"), 3);
  EXPECT_EQ(words("a\u00a0b\u3000c\x1c"
                  "d\u200be"),
            4);  // U+200B is no space
}

TEST(ReadTokens, StartsEveryDocumentAndEveryFileWithBos) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto one = file_with(temporary, "one.txt", "\xef\xbb\xbfGod\n<|endoftext|>\nthe earth\n");
  const auto two = file_with(temporary, "two.txt", "and\n");
  const TokenStream stream = read_tokens({one, two}, tokenizer.get(), {});

  std::vector<Token> expected;
  std::vector<std::int64_t> starts;
  for (const char* document : {"God", "the earth", "and"}) {
    starts.push_back(static_cast<std::int64_t>(expected.size()));
    expected.push_back(1);
    for (const Token token : tokenizer->encode(document)) expected.push_back(token);
  }
  EXPECT_EQ(stream.tokens, expected);
  EXPECT_EQ(stream.document_starts, starts);
  EXPECT_EQ(stream.text_bytes, 15);
  EXPECT_EQ(stream.sources, (std::vector<std::string>{one.string(), two.string()}));
  EXPECT_EQ(stream.source_starts, (std::vector<std::int64_t>{0, starts[2]}));
  EXPECT_EQ(stream.convention,
            "documents apart by lines holding only <|endoftext|>, newlines stripped at both ends, BOS (id 1) "
            "before each, nothing after it");
}

TEST(ReadTokens, LeavesBosOutWhenAsked) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto file = file_with(temporary, "a.txt", "God\n");
  const TokenStream stream = read_tokens({file}, tokenizer.get(), {.document_start = false});
  EXPECT_EQ(stream.tokens, tokenizer->encode("God"));
  EXPECT_CONTAINS(stream.convention, "no BOS");
}

TEST(ReadTokens, DoesNotDependOnTheNumberOfThreads) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "verse " + std::to_string(i) + " of the book which is written ";
    if (i % 700 == 0) text += "\n<|endoftext|>\n";
  }
  const auto file = file_with(temporary, "a.txt", text);
  const TokenStream one = read_tokens({file}, tokenizer.get(), {.threads = 1});
  const TokenStream five = read_tokens({file}, tokenizer.get(), {.threads = 5});
  EXPECT_EQ(one.document_starts.size(), 6u);
  EXPECT_EQ(one.tokens, five.tokens);
  EXPECT_EQ(one.document_starts, five.document_starts);
}

TEST(ReadTokens, ReadsJsonLines) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const char* lines =
      "{\"text\": \"God\\n\", \"id\": 1}\r\n\n{\"text\": \"the\\n<|endoftext|>\\nearth\"}\n{\"text\": \"\"}";
  for (const char* name : {"a.jsonl", "by-its-first-line.json"}) {
    const TokenStream stream = read_tokens({file_with(temporary, name, lines)}, tokenizer.get(), {});
    ASSERT_EQ(stream.document_starts.size(), 2u);
    const auto second = static_cast<std::ptrdiff_t>(stream.document_starts[1]) + 1;
    EXPECT_EQ(tokenizer->decode(std::vector<Token>(stream.tokens.begin() + second, stream.tokens.end())),
              "the\n<|endoftext|>\nearth");
    EXPECT_CONTAINS(stream.convention, "a document is the \"text\" of a line");
  }
}

TEST(ReadTokens, NamesTheJsonLineThatIsWrong) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto refused = [&](const char* lines) {
    const auto file = file_with(temporary, "a.jsonl", lines);
    return user_error_of([&] { read_tokens({file}, tokenizer.get(), {}); });
  };
  EXPECT_CONTAINS(refused("{\"text\": \"a\"}\n\n{\"text\": \"b\"\n"), "a.jsonl, line 3: not valid JSON");
  EXPECT_CONTAINS(refused("{\"text\": \"a\"}\n{\"prompt\": \"b\"}\n"),
                  "a.jsonl, line 2: no document: expected");
  EXPECT_CONTAINS(refused("[1]\n"), "found array");
  EXPECT_CONTAINS(refused("{\"text\": \"\"}\n"), "a.jsonl: holds no text");
}

TEST(ReadTokens, ReadsCompressedTextUnderAnyName) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const std::string text = "God\n<|endoftext|>\nthe earth\n",
                    lines = "{\"text\": \"God\"}\n{\"text\": \"the earth\"}\n";
  const TokenStream plain = read_tokens({file_with(temporary, "plain.txt", text)}, tokenizer.get(), {});
  const auto expect_same = [&](const char* name, const std::string& bytes, const std::string& format) {
    const auto file = file_with(temporary, name, bytes);
    const TokenStream stream = read_tokens({file}, tokenizer.get(), {.format = format});
    EXPECT_EQ(stream.tokens, plain.tokens) << name;
    EXPECT_EQ(stream.document_starts, plain.document_starts) << name;
    EXPECT_EQ(stream.text_bytes, 12) << name;
  };
  for (const char* name : {"a.txt.gz", "b.txt"}) expect_same(name, testing::gzip_of(text), "auto");
  for (const char* name : {"a.jsonl.gz", "by-its-first-line", "c.jsonl"})
    expect_same(name, testing::gzip_of(lines), "auto");
  expect_same("d", testing::gzip_of(lines), "jsonl");
  expect_same("unpacked-by-a-browser.jsonl.gz", "\n" + lines, "auto");
}

TEST(ReadTokens, RefusesDamagedCompressionByName) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const std::string packed = testing::gzip_of("{\"text\": \"God\"}\n");
  const auto refused = [&](const char* name, const std::string& bytes) {
    return user_error_of([&] { read_tokens({file_with(temporary, name, bytes)}, tokenizer.get(), {}); });
  };
  for (const char* name : {"a.jsonl.gz", "a"})
    EXPECT_CONTAINS(refused(name, packed.substr(0, packed.size() - 9)), "ends too early");
  EXPECT_CONTAINS(refused("a.gz", packed.substr(0, packed.size() - 1) + "x"),
                  "a.gz: its gzip compression is damaged");
  EXPECT_CONTAINS(refused("a.gz", testing::gzip_of("")), "a.gz: holds no text");
  EXPECT_CONTAINS(refused("a.gz", testing::gzip_of("x\xff")), "a.gz: byte 1 is not UTF-8");
}

TEST(ReadTokens, RefusesWhatHoldsNoText) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto refused = [&](const std::filesystem::path& file, const tokenizer::Tokenizer* with) {
    return user_error_of([&] { read_tokens({file}, with, {}); });
  };
  EXPECT_CONTAINS(refused(file_with(temporary, "a", ""), tokenizer.get()), "a: is empty");
  EXPECT_CONTAINS(refused(file_with(temporary, "a", "\n<|endoftext|>\n"), tokenizer.get()),
                  "a: holds no text");
  EXPECT_CONTAINS(refused(file_with(temporary, "a", "x\xfe"), tokenizer.get()), "byte 1 is not UTF-8");
  EXPECT_CONTAINS(refused(file_with(temporary, "a", "text"), nullptr), "a: text without a tokenizer");
  EXPECT_CONTAINS(refused(temporary / "nowhere", tokenizer.get()), "nowhere: cannot be opened");
  EXPECT_CONTAINS(refused(temporary.path(), tokenizer.get()), "not a file");
  EXPECT_CONTAINS(user_error_of([&] { read_tokens({}, tokenizer.get(), {}); }), "no files");
  EXPECT_CONTAINS(user_error_of([&] { read_tokens({kModel}, tokenizer.get(), {.format = "parquet"}); }),
                  "expected one of text, jsonl");
}

TEST(ReadTokens, NamesTheTokenBeyondTheVocabulary) {
  const TempDir temporary;
  const auto tokenizer = tokenizer::open_tokenizer(kModel);
  const auto file = file_with(temporary, "a.txt", "God");
  const Token second = tokenizer->encode("God").front();
  EXPECT_EQ(user_error_of([&] { read_tokens({file}, tokenizer.get(), {.vocab_size = second}); }),
            file.string() + ": token 1 is beyond the vocabulary: expected ids below " +
                std::to_string(second) + ", found " + std::to_string(second) +
                ". Were these tokens made with another tokenizer?");
}

TEST(NeedsTokenizer, IsTrueOfText) {
  const TempDir temporary;
  EXPECT_TRUE(needs_tokenizer({file_with(temporary, "a.txt", "a")}, "auto"));
  EXPECT_TRUE(needs_tokenizer({file_with(temporary, "a.jsonl", "{\"text\": \"a\"}")}, "auto"));
  EXPECT_CONTAINS(user_error_of([&] { needs_tokenizer({temporary / "a.txt"}, "parquet"); }), "'parquet'");
}

}  // namespace
}  // namespace regroup::data
