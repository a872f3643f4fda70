// parse_state_dict() on pickles made part by part.
#include <gtest/gtest.h>

#include <string>

#include "core/checkpoint/torch_file.h"
#include "tests/support/checkpoint_files.h"

namespace regroup::checkpoint {
namespace {

using namespace std::string_literals;
using testing::message_of;

// A dictionary of one tensor 'w' made of the parts of its call, the storage being 'k', of 4 F32.
struct Parts {
  std::string name = "\x8c\x01w", type = "ctorch\nFloatStorage\n", key = "\x8c\x01k", elements = "K\x04",
              offset = "K\x00"s, size = "K\x04\x85", stride = "K\x01\x85", rest = "\x89}";
  std::string pickle() const {
    return "}" + name + "ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07storage" + type + key +
           "\x8c\x03"
           "cpu" +
           elements + "tQ" + offset + size + stride + rest + "tRs.";
  }
};

std::string refusal(const Parts& parts) {
  const std::map<std::string, ZipEntry, std::less<>> storages = {{"k", {.begin = 100, .bytes = 16}}};
  const std::string pickle = parts.pickle();
  return message_of([&] { parse_state_dict(std::as_bytes(std::span(pickle)), storages, "p"); });
}

TEST(StateDict, TakesATensorInItsStorage) {
  const std::string pickle = Parts{.offset = "K\x01", .size = "K\x03\x85"}.pickle();
  EXPECT_EQ(
      parse_state_dict(std::as_bytes(std::span(pickle)), {{"k", {.begin = 100, .bytes = 16}}}, "p"),
      (std::vector<TensorInfo>{{.name = "w", .dtype = DType::kF32, .shape = {3}, .begin = 104, .end = 116}}));
}

TEST(StateDict, RefusesNumbersThatLie) {
  const std::string huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
  EXPECT_EQ(refusal({.offset = "K\x01"}),
            "p: tensor 'w' does not fit its storage: F32 of [4] at element 1, in 16 bytes");
  EXPECT_EQ(refusal({.size = "K\x05\x85"}),
            "p: tensor 'w' does not fit its storage: F32 of [5] at element 0, in 16 bytes");
  EXPECT_EQ(refusal({.offset = huge}),
            "p: tensor 'w' does not fit its storage: F32 of [4] at element 9223372036854775807, in 16 bytes");
  EXPECT_EQ(
      refusal({.size = huge + huge + "\x86", .stride = huge + "K\x01\x86"}),
      "p: tensor 'w' does not fit its storage: F32 of [9223372036854775807, 9223372036854775807] at element "
      "0, in 16 bytes");
  EXPECT_EQ(refusal({.elements = huge}),
            "p: tensor 'w' has a storage of 9223372036854775807 elements of F32 in an entry of 16 bytes");
  EXPECT_EQ(refusal({.elements = "K\x03"}),
            "p: tensor 'w' has a storage of 3 elements of F32 in an entry of 16 bytes");
  const std::string negative =
      "p: tensor 'w' has a size, stride or offset that is not a whole number from 0 on";
  EXPECT_EQ(refusal({.offset = "J\xff\xff\xff\xff"}), negative);
  EXPECT_EQ(refusal({.size = "J\xff\xff\xff\xff\x85"}), negative);
  EXPECT_EQ(refusal({.size = "N\x85"}), negative);
}

TEST(StateDict, RefusesWhatTorchSaveDoesNotWrite) {
  EXPECT_EQ(refusal({.size = "K\x02K\x02\x86"}), "p: tensor 'w' has more or fewer strides than sizes");
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "K\x01";
  EXPECT_EQ(refusal({.size = many + "t"}), "p: tensor 'w' has no shape of at most 64 sizes");
  EXPECT_EQ(refusal({.size = "N"}), "p: tensor 'w' has no shape of at most 64 sizes");
  EXPECT_EQ(refusal({.rest = ""}), "p: tensor 'w' has another number of arguments");
  EXPECT_EQ(refusal({.rest = "\x89}}}"}), "p: tensor 'w' has another number of arguments");
  EXPECT_EQ(refusal({.type = "N"}), "p: tensor 'w' has a storage of no known type");
  EXPECT_EQ(refusal({.type = "ctorch.storage\nUntypedStorage\n", .elements = "K\x10"}),
            "p: tensor 'w' has no type");
  EXPECT_EQ(refusal({.key = "\x8c\x03../"}),
            "p: tensor 'w' has a storage that the archive lacks: 'data/../'. Was the download cut off?");
  EXPECT_EQ(refusal({.name = "K\x01"}), "p: a tensor's name: expected text, found a number");
  EXPECT_EQ(refusal({.name = "\x8c\x01\xff"}), "p: tensor '?' has a name that is not UTF-8");
}

TEST(StateDict, RefusesATensorThatIsThereTwice) {
  std::string twice = Parts{}.pickle();
  twice.pop_back();
  twice += "\x8c\x01w" + Parts{}.pickle().substr(4);
  EXPECT_EQ(message_of([&] {
              parse_state_dict(std::as_bytes(std::span(twice)), {{"k", {.begin = 0, .bytes = 16}}}, "p");
            }),
            "p: tensor 'w' is there twice");
}

}  // namespace
}  // namespace regroup::checkpoint
