#include "core/checkpoint/pickle.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/checkpoint_files.h"

namespace regroup::checkpoint {
namespace {

using namespace std::string_literals;
using testing::message_of;
using Kind = Pickle::Kind;

Pickle read(const std::string& bytes) {
  const auto allowed = [](std::string_view global) { return global == "a.b"; };
  return Pickle(std::as_bytes(std::span(bytes)), allowed, "p");
}

std::string refusal(const std::string& bytes) {
  return message_of([&] { read(bytes); });
}

std::string not_safe(const std::string& global) {
  return "p: not safe to load: its pickle asks for '" + global +
         "', which weights do not need. Nothing of it was run. Take the model as safetensors, from a source "
         "that you trust";
}

TEST(Pickle, ReadsNumbers) {
  EXPECT_EQ(read("\x80\x02K\x07."s).top().integer, 7);
  EXPECT_EQ(read("M\x01\xff."s).top().integer, 0xff01);
  EXPECT_EQ(read("J\xfe\xff\xff\xff."s).top().integer, -2);
  EXPECT_EQ(read("\x8a\x00."s).top().integer, 0);
  EXPECT_EQ(read("\x8a\x05\x00\x00\x00\x00\x01."s).top().integer, std::int64_t{1} << 32);
  EXPECT_EQ(read("\x8a\x01\x80."s).top().integer, -128);
  EXPECT_EQ(read("\x8a\x02\x80\x00."s).top().integer, 128);
  EXPECT_EQ(read("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."s).top().kind, Kind::kNumber);
  EXPECT_EQ(read("G\x3f\xf0\x00\x00\x00\x00\x00\x00."s).top().kind, Kind::kNumber);
  EXPECT_EQ(read("\x88."s).top().integer, 1);
  EXPECT_EQ(read("\x89."s).top().kind, Kind::kBool);
  EXPECT_EQ(read("N."s).top().kind, Kind::kNone);
}

TEST(Pickle, ReadsTextsAndContainers) {
  EXPECT_EQ(read("X\x02\x00\x00\x00hi."s).top().text, "hi");
  EXPECT_EQ(read("\x8c\x02hi."s).top().text, "hi");
  EXPECT_EQ(read("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi."s).top().text, "hi");
  EXPECT_EQ(read("(K\x01K\x02t."s).top().items.size(), 2u);
  EXPECT_EQ(read("K\x01K\x02K\x03\x87."s).top().items.size(), 3u);
  EXPECT_EQ(read("](K\x01K\x02"
                 "eK\x03"
                 "a."s)
                .top()
                .items.size(),
            3u);
  const Pickle dictionary = read("}(K\x01K\x02K\x03K\x04uK\x05K\x06s."s);
  ASSERT_EQ(dictionary.top().items.size(), 6u);
  EXPECT_EQ(dictionary[dictionary.top().items[3]].integer, 4);
}

TEST(Pickle, WritesCallsDownInsteadOfMakingThem) {
  const Pickle call = read("ca\nb\nK\x07\x85R}b."s);
  EXPECT_EQ(call.top().kind, Kind::kCall);
  EXPECT_EQ(call[call.top().callable].text, "a.b");
  EXPECT_EQ(call[call[call.top().arguments].items[0]].integer, 7);
  EXPECT_EQ(read("\x8c\x01"
                 "a\x94\x8c\x01"
                 "b\x94\x93\x94h\x02."s)
                .top()
                .text,
            "a.b");
  EXPECT_EQ(read("K\x01Q."s).top().kind, Kind::kPersistent);
}

TEST(Pickle, RemembersByNumberAndByOrder) {
  EXPECT_EQ(read("K\x07q\x05K\x08h\x05."s).top().integer, 7);
  EXPECT_EQ(read("K\x07r\x05\x00\x00\xffK\x08j\x05\x00\x00\xff."s).top().integer, 7);
  EXPECT_EQ(read("K\x07\x94K\x08\x94h\x00."s).top().integer, 7);
}

// The classics of the trade, whatever the form of the call. `refusal` says the name; nothing ran.
TEST(Pickle, NamesWhatItMustNotAskFor) {
  EXPECT_EQ(refusal("cos\nsystem\n(X\x02\x00\x00\x00lstR."s), not_safe("os.system"));
  EXPECT_EQ(refusal("\x80\x02"
                    "c__builtin__\neval\nX\x01\x00\x00\x00"
                    "1\x85R."s),
            not_safe("__builtin__.eval"));
  EXPECT_EQ(refusal("\x80\x04\x8c\x08"
                    "builtins\x8c\x04"
                    "exec\x93."s),
            not_safe("builtins.exec"));
  EXPECT_EQ(refusal("(ios\nsystem\n."s), not_safe("os.system"));
  EXPECT_EQ(refusal("(cos\nsystem\nX\x02\x00\x00\x00lso."s), not_safe("os.system"));
  EXPECT_EQ(refusal("\x80\x02}ca\nb\n)RX\x01\x00\x00\x00k\x85"
                    "ctorch.storage\n_load_from_bytes\n."s),
            not_safe("torch.storage._load_from_bytes"));
  EXPECT_EQ(refusal("ca.b\nc\n."s), not_safe("a.b.c"));
  EXPECT_EQ(refusal("\x8c\x05"
                    "a\nb\x1b[\x8c\x01"
                    "c\x93."s),
            not_safe("a?b?[.c"));
  EXPECT_LT(refusal("c" + std::string(100'000, 'm') + "\nx\n.").size(), 500u);
}

TEST(Pickle, RefusesOpcodesThatWeightsDoNotNeed) {
  for (const char opcode :
       {'0',    '1',    '2',    'F',    'I',    'L',    'S',    'T',    'U',    'V',    'd',
        'g',    'l',    'o',    'p',    'B',    'C',    'P',    '\x81', '\x82', '\x83', '\x84',
        '\x8b', '\x8e', '\x8f', '\x90', '\x91', '\x92', '\x96', '\x97', '\x98', '\x00', '\xff'})
    EXPECT_EQ(refusal("(K\x01"s + opcode + "...."),
              "p: its pickle has opcode 0x" +
                  std::string(1, "0123456789abcdef"[static_cast<unsigned char>(opcode) >> 4]) +
                  "0123456789abcdef"[opcode & 15] + ", which weights do not need (byte 3)");
  EXPECT_EQ(refusal("\x80\x06N."s), "p: its pickle is of protocol 6 (byte 0)");
}

TEST(Pickle, RefusesAStackThatDoesNotHold) {
  const auto empty = [](int byte) {
    return "p: its pickle takes from an empty stack (byte " + std::to_string(byte) + ")";
  };
  EXPECT_EQ(refusal("."), empty(0));
  EXPECT_EQ(refusal("\x85."), empty(0));
  EXPECT_EQ(refusal("N\x87."), empty(1));
  EXPECT_EQ(refusal("R."), empty(0));
  EXPECT_EQ(refusal("NN(\x85."), empty(3)) << "a mark is the floor, as in Python";
  EXPECT_EQ(refusal("(."), empty(1));
  EXPECT_EQ(refusal("q\x01."s), empty(0));
  EXPECT_EQ(refusal("}NNuN."), "p: its pickle takes items to a mark that is not there (byte 3)");
  EXPECT_EQ(refusal("t."), "p: its pickle takes items to a mark that is not there (byte 0)");
}

TEST(Pickle, RefusesWhatDoesNotFitTogether) {
  EXPECT_EQ(refusal("}(Nu."), "p: its pickle has a key without a value (byte 3)");
  EXPECT_EQ(refusal("}Na."), "p: its pickle fills something that is not a list (byte 2)");
  EXPECT_EQ(refusal("]NNs."), "p: its pickle fills something that is not a dictionary (byte 3)");
  EXPECT_EQ(refusal("NNb."), "p: its pickle fills something that is not a dictionary (byte 2)");
  EXPECT_EQ(refusal("N)R."), "p: its pickle calls something that is not a name (byte 2)");
  EXPECT_EQ(refusal("ca\nb\nNR."), "p: its pickle calls something that is not a name (byte 6)");
  EXPECT_EQ(refusal("NN\x93."), "p: its pickle names something with what is not text (byte 2)");
  EXPECT_EQ(refusal("h\x07."s), "p: its pickle recalls a value that it did not remember (byte 0)");
}

TEST(Pickle, RefusesWhatIsCutOffHoweverMuchItPromises) {
  for (const std::string& bytes :
       {""s, "K"s, "\x80"s, "X\xff\xff\xff\xff"s, "\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s, "\x8c\x05hi."s,
        "\x8a\xff."s, "\x95\xff\xff\xff\xff\xff\xff\xff\xff."s, "ca\nb"s, "cab"s, "G\x00"s})
    EXPECT_NE(refusal(bytes).find("p: its pickle is cut off (byte "), std::string::npos) << bytes;
}

TEST(Pickle, NestingCostsNoStack) {
  std::string nested = "N";
  for (int i = 0; i < 1'000'000; ++i) nested += "\x85";
  EXPECT_EQ(read(nested + ".").top().items.size(), 1u);
  EXPECT_EQ(refusal(std::string(1'000'000, '(') + "."),
            "p: its pickle takes from an empty stack (byte 1000000)");
}

// ((((…))))  of two each: 2^200 values for whoever writes them out.
TEST(Pickle, AValueOfManyUsesIsKeptOnce) {
  std::string doubling = "N";
  for (int i = 0; i < 200; ++i) doubling += "q\x01h\x01\x86"s;
  EXPECT_EQ(read(doubling + ".").top().items.size(), 2u);
  EXPECT_EQ(read("]q\x01h\x01"
                 "a."s)
                .top()
                .items.size(),
            1u)
      << "a list in itself";
}

TEST(Pickle, LimitsItsValues) {
  EXPECT_EQ(refusal(std::string((1 << 23) + 1, 'N') + "."),
            "p: its pickle has more than 8388608 values (byte 8388608)");
}

}  // namespace
}  // namespace regroup::checkpoint
