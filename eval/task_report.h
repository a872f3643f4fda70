// What reports say of tasks: the same words and cells in every output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"
#include "eval/result.h"

namespace regroup::eval {

// A row for each model on each task, the first row the titles; empty without tasks. The first two columns are
// words, the others numbers.
std::vector<std::vector<std::string>> task_rows(const Result& result);

// What separates a model from the source on each task, by the accuracy that gates look at: "a on piqa:
// accuracy 1.20 ± 0.80 points lower than the source's; 40 of 1,838 examples got worse, 18 better (McNemar's
// exact test: p = 0.005)."
std::vector<std::string> task_sentences(const ModelResult& model, const Result& result);

// "source: accuracy 61.3 ± 1.1% on piqa."
std::string source_task_sentence(const Result& result);

// "piqa (1,838 examples)"
std::string task_measurement(const Result& result);

// "tasks" of the report and of a model.
Json tasks_json(const Result& result);
Json tasks_json(const ModelResult& model, const Result& result);

}  // namespace regroup::eval
