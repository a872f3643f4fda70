// The two kinds of failure: a user's mistake and a bug of ours.
//
// Libraries throw; only cli/main.cc prints and exits (UserError -> exit 2, InternalError -> exit 3).
#pragma once

#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace regroup {

// The parts of a message that lets a person mend the input without asking us. Empty parts are left out.
// Printed as "WHERE: WHAT: expected EXPECTED, found FOUND. REMEDY".
struct Mistake {
  std::string where = {};     // file, directory or flag
  std::string what = {};      // what is wrong, in a clause
  std::string expected = {};  // what would have been right
  std::string found = {};     // what is there
  std::string remedy = {};    // what to do, as a sentence
};

class UserError : public std::runtime_error {
 public:
  explicit UserError(const Mistake& mistake);
};

class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Throws InternalError naming the caller's place unless `condition` holds.
void check(bool condition, std::string_view why,
           std::source_location place = std::source_location::current());

// "a, b, c … and 7 more": at most `most` items, so that a message stays within a dozen lines.
std::string list_some(std::span<const std::string> items, std::size_t most = 8);

}  // namespace regroup
