// What the figures say, in sentences and in the cells of one table: the same words in every output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/result.h"

namespace regroup::eval {

// The verdict of the gate if there is one, else what is true of the model nearest to the source.
std::string headline(const Result& result);

// One sentence on a model against the source.
std::string finding(const ModelResult& model, const Result& result);

// The gate's decision on a model, with the numbers it rests on.
std::string decision_sentence(const ModelResult& model, const Result& result);

// What would decide when the gate cannot tell; empty when it can.
std::string advice_sentence(const ModelResult& model);

// "121,088 tokens of a.txt, in windows of 256 (consecutive)."
std::string measurement_sentence(const Result& result);

std::string_view verdict_name(Verdict verdict);  // "pass" | "cannot tell" | "fail"

struct Column {
  std::string_view title;
  bool numeric;  // aligned to the right
  std::string (*cell)(const ModelResult& model, const Result& result);
};

// A column without a figure for any model is left out by table_columns().
std::vector<Column> table_columns(const Result& result);

}  // namespace regroup::eval
