#include "core/base/error.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/json.h"

namespace regroup {
namespace {

TEST(UserError, SaysWhereWhatExpectedFoundAndWhatToDo) {
  const UserError error({.where = "model/config.json",
                         .what = "'hidden_size' is of the wrong type",
                         .expected = "an integer",
                         .found = "\"big\"",
                         .remedy = "Mend it"});
  EXPECT_STREQ(
      error.what(),
      "model/config.json: 'hidden_size' is of the wrong type: expected an integer, found \"big\". Mend it");
}

TEST(UserError, LeavesOutWhatIsEmpty) {
  EXPECT_STREQ(UserError({.where = "x", .what = "is empty"}).what(), "x: is empty");
  EXPECT_STREQ(UserError({.what = "no text"}).what(), "no text");
}

TEST(ListSome, EndsWithHowManyMore) {
  const std::vector<std::string> items = {"a", "b", "c", "d"};
  EXPECT_EQ(list_some(items, 2), "a, b … and 2 more");
  EXPECT_EQ(list_some(items, 4), "a, b, c, d");
}

TEST(Check, NamesThePlace) {
  try {
    check(false, "heads differ");
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("error_test.cc"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("heads differ"), std::string::npos);
  }
}

TEST(Json, RefusesARepeatedKeyByName) {
  try {
    parse_json(R"({"a": {"b": 1, "b": 2}})", "file.json");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "file.json: the key \"b\" is there twice");
  }
}

TEST(Json, KeepsTheOrderOfKeysAndTheirNumbers) {
  const std::string text = "{\n  \"z\": 1e-06,\n  \"a\": 10000.0,\n  \"m\": null\n}\n";
  EXPECT_EQ(to_text(parse_json(text, "x")), text);
}

}  // namespace
}  // namespace regroup
