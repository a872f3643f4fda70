#include "eval/task.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/table.h"
#include "core/data/text_formats.h"
#include "core/tokenizer/unicode.h"

namespace regroup::eval {
namespace {

std::string text_of(const Json& record, const char* key) {
  return record.at(key).get<std::string>();
}

std::string without(std::string text, std::string_view prefix, std::string_view suffix) {
  if (text.starts_with(prefix)) text.erase(0, prefix.size());
  if (text.ends_with(suffix)) text.resize(text.size() - suffix.size());
  return text;
}

// Python's str.strip().
std::string stripped(std::string_view text) {
  text = text.substr(0, tokenizer::size_without_trailing_space(text));
  for (std::size_t at = 0, begin = 0; at < text.size(); begin = at)
    if (!tokenizer::is_python_space(tokenizer::next_character(text, at)))
      return std::string(text.substr(begin));
  return "";
}

Example question(const std::string& prompt, const std::vector<std::string>& answers, std::size_t gold) {
  Example example{.choices = {}, .gold = gold};
  for (const std::string& answer : answers) example.choices.push_back({prompt, answer});
  return example;
}

// lambada_openai.yaml: the last word of a passage, after everything before its space.
Example lambada(const Json& record) {
  const std::string text = record.contains("text")
                               ? text_of(record, "text")
                               : text_of(record, "context") + " " + text_of(record, "continuation");
  const std::size_t space = text.rfind(' ');
  if (space == text.npos || space == 0) throw UserError({.what = "a passage without a last word"});
  return question(text.substr(0, space), {text.substr(space + 1)}, 0);
}

// piqa.yaml; llm-foundry's "query" is its question with the prefix and a line end.
Example piqa(const Json& record) {
  if (record.contains("goal"))
    return question("Question: " + text_of(record, "goal") + "\nAnswer:",
                    {text_of(record, "sol1"), text_of(record, "sol2")},
                    record.at("label").get<std::size_t>());
  return question("Question: " + without(text_of(record, "query"), "Question: ", "\n") + "\nAnswer:",
                  record.at("choices").get<std::vector<std::string>>(), record.at("gold").get<std::size_t>());
}

// arc_easy.yaml; llm-foundry's "query" is its question with the prefix.
Example arc(const Json& record) {
  if (!record.contains("question"))
    return question("Question: " + without(text_of(record, "query"), "Question: ", "") + "\nAnswer:",
                    record.at("choices").get<std::vector<std::string>>(),
                    record.at("gold").get<std::size_t>());
  const Json& choices = record.at("choices");
  const auto labels = choices.at("label").get<std::vector<std::string>>();
  const auto gold = std::ranges::find(labels, text_of(record, "answerKey")) - labels.begin();
  return question("Question: " + text_of(record, "question") + "\nAnswer:",
                  choices.at("text").get<std::vector<std::string>>(), static_cast<std::size_t>(gold));
}

// winogrande: the same words after either name (partial evaluation, Trinh & Le 2018).
Example winogrande(const Json& record) {
  std::vector<std::string> contexts;
  std::string rest;
  std::size_t gold = 0;
  if (record.contains("sentence")) {
    const std::string sentence = text_of(record, "sentence");
    const std::size_t blank = sentence.find('_');
    if (blank == sentence.npos) throw UserError({.what = "a sentence without a blank \"_\""});
    for (const char* option : {"option1", "option2"})
      contexts.push_back(sentence.substr(0, blank) + text_of(record, option));
    rest = sentence.substr(blank + 1);
    gold = text_of(record, "answer") == "1" ? 0 : text_of(record, "answer") == "2" ? 1 : 2;
  } else {
    contexts = record.at("context_options").get<std::vector<std::string>>();
    rest = text_of(record, "continuation");
    gold = record.at("gold").get<std::size_t>();
  }
  Example example{.choices = {}, .gold = gold};
  for (const std::string& context : contexts) example.choices.push_back({context, stripped(rest)});
  return example;
}

constexpr Task kAll[] = {
    {.name = "lambada_openai",
     .summary = "The last word of a passage that only the whole passage tells (LAMBADA, OpenAI's text).",
     .fields = "text; or context, continuation",
     .greedy = true,
     .normalized = false,
     .example = lambada},
    {.name = "piqa",
     .summary = "Which of two ways reaches a goal in the physical world (PIQA).",
     .fields = "goal, sol1, sol2, label; or query, choices, gold",
     .greedy = false,
     .normalized = true,
     .example = piqa},
    {.name = "arc_easy",
     .summary = "Which of mostly four answers to a question of grade-school science is right (ARC-Easy).",
     .fields = "question, choices {text, label}, answerKey; or query, choices, gold",
     .greedy = false,
     .normalized = true,
     .example = arc},
    {.name = "winogrande",
     .summary = "Which of two names a blank stands for, by the rest of the sentence (WinoGrande).",
     .fields = "sentence, option1, option2, answer; or context_options, continuation, gold",
     .greedy = false,
     .normalized = false,
     .example = winogrande},
};

const Task& task_named(const std::string& name) {
  const auto row = std::ranges::find(kAll, name, &Task::name);
  if (row != std::end(kAll)) return *row;
  throw UserError({.where = "--tasks",
                   .what = "no such task",
                   .expected = "one of " + list_some(names_of(kAll), 20),
                   .found = fmt::format("'{}'", name)});
}

Example read_example(const Task& task, const Json& record, const std::string& where) {
  const auto refuse = [&](const std::string& found) {
    throw UserError({.where = where,
                     .what = fmt::format("no example of {}", task.name),
                     .expected = fmt::format("an object with {}", task.fields),
                     .found = found});
  };
  Example example;
  try {
    example = task.example(record);
  } catch (const Json::exception&) {
    std::vector<std::string> keys;
    if (record.is_object())
      for (const auto& [key, value] : record.items()) keys.push_back(key);
    refuse(record.is_object() ? "one with " + list_some(keys) : std::string(record.type_name()));
  } catch (const UserError& error) {
    refuse(error.what());
  }
  if (example.gold >= example.choices.size()) refuse("a right answer that is none of the choices");
  for (const Choice& choice : example.choices)
    if (choice.context.empty() || choice.text.empty()) refuse("a choice without text");
  return example;
}

TaskData open_task(const std::string& word, const std::filesystem::path& directory, std::int64_t most) {
  TaskData data{.task = &task_named(word.substr(0, word.find('='))), .path = {}, .examples = {}};
  data.path = task_file(word, directory);
  data::for_each_json_line(data.path, [&](const Json& record, const std::string& where) {
    if (most == 0 || std::ssize(data.examples) < most)
      data.examples.push_back(read_example(*data.task, record, where));
  });
  if (data.examples.empty()) throw UserError({.where = data.path.string(), .what = "holds no examples"});
  return data;
}

}  // namespace

std::span<const Task> tasks() {
  return kAll;
}

std::string task_help() {
  return fmt::format("tasks to score, each NAME=FILE.jsonl, or NAME for NAME.jsonl in --task-data: {}",
                     list_some(names_of(kAll), 20));
}

std::filesystem::path task_file(const std::string& word, const std::filesystem::path& directory) {
  const std::size_t equals = word.find('=');
  static_cast<void>(task_named(word.substr(0, equals)));
  if (equals != word.npos) return word.substr(equals + 1);
  if (!directory.empty()) return directory / (word + ".jsonl");
  throw UserError({.where = "--tasks " + word,
                   .what = "no file of examples",
                   .remedy = fmt::format("Give --tasks {}=FILE.jsonl, or --task-data DIR with {}.jsonl in it",
                                         word, word)});
}

std::vector<TaskData> open_tasks(std::span<const std::string> words, const std::filesystem::path& directory,
                                 std::int64_t most) {
  std::vector<TaskData> all;
  for (const std::string& word : words) {
    all.push_back(open_task(word, directory, most));
    if (std::ranges::count(all, all.back().task, &TaskData::task) > 1)
      throw UserError({.where = "--tasks", .what = fmt::format("{} is given twice", all.back().task->name)});
  }
  return all;
}

}  // namespace regroup::eval
