// The message a piece of code fails with, for tests that read it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/base/error.h"

namespace regroup::testing {

// Runs `code`, which must throw a UserError of at most twelve lines, and returns its text.
template <typename Code>
std::string user_error_of(Code code) {
  try {
    code();
  } catch (const UserError& error) {
    const std::string text = error.what();
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 12);
    return text;
  }
  ADD_FAILURE() << "no UserError";
  return "";
}

}  // namespace regroup::testing

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
