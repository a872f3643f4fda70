// Runs the program as a person would, and what it said.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace regroup::testing {

struct Ran {
  int code = -1;
  std::string out, err;
};

inline std::string quoted(const std::string& argument) {
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// `before`: shell commands that set limits, "ulimit -f 8; ".
inline Ran run_program(const std::vector<std::string>& arguments, const std::string& before = "") {
  const TempDir folder;
  std::string command = before + quoted(REGROUP_PROGRAM);
  for (const std::string& argument : arguments) command.append(" ").append(quoted(argument));
  command += " >" + quoted(folder / "out") + " 2>" + quoted(folder / "err") + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(folder / "out"), read_text(folder / "err")};
}

}  // namespace regroup::testing
