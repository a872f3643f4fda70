// Files of llama2.c, right ones and wrong ones. That the right ones are the models they were made from:
// tests/core/model/llama2c_test.cc.
#include "core/family/llama2c_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/family/model_directory.h"
#include "tests/support/checkpoint_files.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace regroup::family {
namespace {

struct Header {
  std::int32_t dim = 8, hidden_dim = 3, layers = 2, heads = 1, kv_heads = 1, vocab = 5, positions = 4;
};

// Numbers that count up, so that one in the wrong place shows; the rotary table as llama2.c makes it.
std::vector<float> numbers_of(const Header& h) {
  const std::int32_t width = h.dim / h.heads, kv = width * h.kv_heads, vocab = std::abs(h.vocab);
  const std::int32_t before = vocab * h.dim + h.layers * (2 * h.dim + 2 * h.dim * h.dim + 2 * kv * h.dim) +
                              h.layers * 3 * h.hidden_dim * h.dim + h.dim;
  std::vector<float> numbers;
  for (std::int32_t i = 0; i < before; ++i) numbers.push_back(static_cast<float>(i));
  for (double (*turn)(double) :
       {static_cast<double (*)(double)>(std::cos), static_cast<double (*)(double)>(std::sin)})
    for (int position = 0; position < h.positions; ++position)
      for (int j = 0; j < width / 2; ++j)
        numbers.push_back(static_cast<float>(turn(position * std::pow(10000., -2. * j / width))));
  for (std::int32_t i = 0; h.vocab < 0 && i < vocab * h.dim; ++i)
    numbers.push_back(static_cast<float>(before + i));
  return numbers;
}

std::string bytes_of(const Header& header, const std::vector<float>& numbers) {
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  for (const float number : numbers) bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  return bytes;
}

class Llama2c : public ::testing::Test {
 protected:
  std::string refusal(const std::string& bytes) {
    testing::write_file(path_, bytes);
    std::string message = testing::user_error_of([&] { open_model(path_); });
    EXPECT_TRUE(message.starts_with(path_.string() + ": ")) << message;
    return message.substr(std::min(message.size(), path_.string().size() + 2));
  }
  std::string refusal(const Header& header) { return refusal(bytes_of(header, {})); }

  std::vector<float> values(const ModelDirectory& model, Part part, std::int64_t layer = -1) {
    const ModelTensor& tensor = *model.find(part, layer);
    std::vector<float> numbers(static_cast<std::size_t>(tensor.stored.info->elements()));
    model.checkpoint.read(tensor.stored, std::as_writable_bytes(std::span(numbers)));
    return numbers;
  }

  testing::TempDir folder_;
  std::filesystem::path path_ = folder_ / "stories.bin";
};

TEST_F(Llama2c, IsTheLlamaThatItsHeaderSays) {
  Header header{.dim = 16, .heads = 2, .vocab = -5};
  testing::write_file(path_, bytes_of(header, numbers_of(header)));
  const ModelDirectory model = open_model(path_);
  EXPECT_EQ(model.family->name, "llama");
  EXPECT_EQ(model.config.hidden, 16);
  EXPECT_EQ(model.config.ffn, 3);
  EXPECT_EQ(model.config.layers, 2);
  EXPECT_EQ(model.config.heads, 2);
  EXPECT_EQ(model.config.kv_heads, 1);
  EXPECT_EQ(model.config.vocab_size, 5);
  EXPECT_EQ(model.config.max_positions, 4);
  EXPECT_FALSE(model.config.tied_embeddings);
  EXPECT_EQ(model.config.norm_epsilon, 1e-5);
  EXPECT_EQ(model.config.rope.theta, 10000);
  EXPECT_EQ(model.dtype(), checkpoint::DType::kF32);
  EXPECT_EQ(parse_json(model.config_text, "text"), model.config_json);
}

// By hand: what lies where, and rows 0 1 2 3 4 5 6 7 of a head read as 0 2 4 6 1 3 5 7.
TEST_F(Llama2c, ReadsEveryTensorFromItsPlace) {
  const Header header;
  testing::write_file(path_, bytes_of(header, numbers_of(header)));
  const ModelDirectory model = open_model(path_);
  EXPECT_EQ(values(model, Part::kTokenEmbedding).front(), 0);
  EXPECT_EQ(values(model, Part::kAttentionNorm, 0).front(), 40);
  EXPECT_EQ(values(model, Part::kAttentionNorm, 1).front(), 48);
  std::vector<float> rows;
  const std::vector<float> query = values(model, Part::kQueryWeight, 0);
  for (std::size_t i = 0; i < query.size(); i += 8) rows.push_back((query[i] - 56) / 8);
  EXPECT_EQ(rows, (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_EQ(values(model, Part::kQueryWeight, 1).front(), 56 + 64);
  EXPECT_EQ(values(model, Part::kKeyWeight, 0)[8], 56 + 128 + 16);
  EXPECT_EQ(values(model, Part::kValueWeight, 0)[8], 56 + 256 + 8);
  EXPECT_EQ(values(model, Part::kOutputWeight, 1).front(), 56 + 384 + 64);
  EXPECT_EQ(values(model, Part::kMlpNorm, 0).front(), 56 + 512);
  EXPECT_EQ(values(model, Part::kGateWeight, 0).front(), 584);
  EXPECT_EQ(values(model, Part::kDownWeight, 0).front(), 584 + 48);
  EXPECT_EQ(values(model, Part::kUpWeight, 1).front(), 584 + 96 + 24);
  EXPECT_EQ(values(model, Part::kFinalNorm).front(), 584 + 144);
  EXPECT_EQ(model.find(Part::kLmHead), nullptr);
}

// However a tensor is read, in one go or in pieces that end within rows.
TEST_F(Llama2c, ReadsPairedRowsInPieces) {
  const Header header{.dim = 16, .heads = 2};
  testing::write_file(path_, bytes_of(header, numbers_of(header)));
  const ModelDirectory model = open_model(path_);
  const ModelTensor& query = *model.find(Part::kQueryWeight, 1);
  const std::vector<float> whole = values(model, Part::kQueryWeight, 1);
  const auto bytes = std::as_bytes(std::span(whole));
  for (const std::size_t piece : {1u, 7u, 64u, 100u, 1000u}) {
    std::vector<std::byte> read(bytes.size());
    for (std::size_t at = 0; at < read.size(); at += piece)
      model.checkpoint.files()[0].read(*query.stored.info, at,
                                       std::span(read).subspan(at, std::min(piece, read.size() - at)));
    EXPECT_TRUE(std::ranges::equal(read, bytes)) << piece;
  }
}

TEST_F(Llama2c, RefusesLengthsThatAreNotTheHeaders) {
  const Header header;
  const std::string whole = bytes_of(header, numbers_of(header));
  EXPECT_EQ(
      refusal(whole.substr(0, whole.size() - 1)),
      "not as long as a llama2.c file with its header (dim 8, hidden_dim 3, n_layers 2, n_heads 1, "
      "n_kv_heads 1, vocab_size 5, max_seq_len 4): expected 3100 bytes, found 3099. Was the download cut "
      "off?");
  EXPECT_CONTAINS(refusal(whole + '\0'),
                  "expected 3100 bytes, found 3101. Export it with llama2.c's export.py --version 0");
  EXPECT_EQ(refusal(whole.substr(0, 27)),
            "cut off within the header of a llama2.c file: expected at least 28 bytes, found 27. Was the "
            "download cut off?");
  EXPECT_CONTAINS(refusal(std::string()), "found 0");
}

TEST_F(Llama2c, RefusesHeadersThatNoModelHas) {
  for (std::int32_t Header::*count : {&Header::dim, &Header::hidden_dim, &Header::layers, &Header::heads,
                                      &Header::kv_heads, &Header::vocab, &Header::positions})
    for (const std::int32_t wrong : {0, -1}) {
      Header header;
      header.*count = wrong;
      if (count == &Header::vocab && wrong < 0) continue;  // an output layer of its own
      EXPECT_CONTAINS(refusal(header), "expected counts above 0, found dim ");
    }
  EXPECT_CONTAINS(refusal(Header{.heads = 3}), "expected a dim that n_heads divides");
  EXPECT_CONTAINS(refusal(Header{.heads = 4, .kv_heads = 3}), "expected as many heads as n_kv_heads divides");
  EXPECT_CONTAINS(refusal(Header{.dim = 9, .heads = 3}), "expected heads of an even width");
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  EXPECT_CONTAINS(refusal(Header{.dim = kMost - 1, .hidden_dim = kMost, .layers = kMost}),
                  "expected more bytes than can be counted, found 28");
  EXPECT_CONTAINS(refusal(Header{.layers = kMost}), "bytes, found 28. Was the download cut off?");
  EXPECT_CONTAINS(refusal(Header{.vocab = std::numeric_limits<std::int32_t>::min()}),
                  "vocab_size -2147483648");
}

TEST_F(Llama2c, RefusesOtherVersionsByName) {
  const std::string rest(256, '\1');
  EXPECT_EQ(
      refusal(std::string("24ka\1\0\0\0", 8) + rest),
      "a file of llama2.c in version 1 of its format: expected version 0 (the legacy one). Export it with "
      "llama2.c's export.py --version 0");
  EXPECT_CONTAINS(refusal(std::string("24ka\2\0\0\0", 8) + rest), "version 2 of its format (int8)");
}

TEST_F(Llama2c, RefusesOtherFilesOfThatName) {
  const std::string torch =
      "a file of torch.save, not of llama2.c. Give the directory that holds it and its config.json";
  EXPECT_EQ(refusal("PK\3\4" + std::string(60, 'x')), torch);
  EXPECT_EQ(refusal("\x80\2}q" + std::string(60, 'x')), torch);
  EXPECT_CONTAINS(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "Git LFS pointer");
}

TEST_F(Llama2c, RefusesAnotherRotaryTable) {
  const Header header;
  const std::size_t cosines = 728 + 8, sines = cosines + 16;
  for (const std::size_t place : {cosines + 4 + 1, sines + 4 + 3})
    for (const float wrong : {0.25f, std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> numbers = numbers_of(header);
      numbers[place] = wrong;
      EXPECT_CONTAINS(refusal(bytes_of(header, numbers)), "its rotary table is of another model");
    }
  std::vector<float> numbers = numbers_of(header);
  numbers[cosines + 5] = std::cos(1 / std::sqrt(1000.f));  // rotary base 1e6
  EXPECT_CONTAINS(refusal(bytes_of(header, numbers)),
                  "pair 1 of a head, one position on: expected 0.995004 (rotary base 10000)");
}

TEST_F(Llama2c, FilesOfOtherNamesAreNotTaken) {
  const std::filesystem::path other = folder_ / "stories.dat";
  testing::write_file(other, bytes_of({}, numbers_of({})));
  EXPECT_CONTAINS(testing::user_error_of([&] { open_model(other); }),
                  "not a directory. Give the directory that holds config.json and the weights, or a file of "
                  "llama2.c, whose name ends in .bin");
}

}  // namespace
}  // namespace regroup::family
