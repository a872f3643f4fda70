// Tasks: questions whose possible answers are known, answered by how likely a model finds each. Prompts and
// decisions are those of lm-eval's task definitions (lm_eval 0.4, zero-shot), so that figures can stand
// beside published ones; tests/oracle/task_parity.py compares them example by example.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace regroup::eval {

// A continuation and what it follows, apart by lm-eval's target delimiter: " " + `text` is scored.
struct Choice {
  std::string context, text;
};

struct Example {
  std::vector<Choice> choices;
  std::size_t gold = 0;  // the right one
};

struct Task {
  std::string_view name;     // lm-eval's
  std::string_view summary;  // one sentence
  std::string_view fields;   // what a record holds: the data set's own, or llm-foundry's
  // The one continuation counts as right where it is what greedy decoding would say; its perplexity is
  // reported too. Otherwise the likeliest of the choices is compared with the right one.
  bool greedy;
  bool normalized;  // also by the likelihood per character of the choice (acc_norm)
  // A Json::exception or a UserError where the record is none of this task.
  Example (*example)(const Json& record);
};

std::span<const Task> tasks();

std::string task_help();  // for --help

struct TaskData {
  const Task* task = nullptr;
  std::filesystem::path path;
  std::vector<Example> examples;
};

// The file that a word of open_tasks() names.
std::filesystem::path task_file(const std::string& word, const std::filesystem::path& directory);

// From words NAME=FILE, or NAME for DIRECTORY/NAME.jsonl; of each file at most `most` examples, from the
// beginning (0: all). UserError for an unknown or repeated name, a name without a file, and a line that is
// not JSON or no example of its task, naming file and line.
std::vector<TaskData> open_tasks(std::span<const std::string> words, const std::filesystem::path& directory,
                                 std::int64_t most);

}  // namespace regroup::eval
