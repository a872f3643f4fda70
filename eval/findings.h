// What the figures say, in sentences and in the cells of one table: the same words in every output.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/result.h"

namespace regroup::eval {

// The verdict of the gate if there is one, else what is true of the model nearest to the source.
std::string headline(const Result& result);

// One sentence on a model against the source.
std::string finding(const ModelResult& model, const Result& result);

// "perplexity 1.3% higher than the source's (95% confidence: +1.1% to +1.5%)"; `whose`: "the source's".
std::string ratio_phrase(const Figure& ratio, double confidence, std::string_view whose);

// How far a model's distributions are from the source's; empty where that is not known.
std::string divergence_sentence(const ModelResult& model);

// What kind of token costs most, where one costs clearly more than the mean; empty where nothing is lost for
// sure.
std::string where_sentence(const ModelResult& model, const Result& result);

// A gate's decision on a model, with the numbers it rests on; `gate` is an index into Result::gates.
std::string decision_sentence(const ModelResult& model, const Result& result, std::size_t gate = 0);

// What would decide when a gate cannot tell; empty when it can.
std::string advice_sentence(const GateDecision& decision, const Gate& gate = {});

// "121,088 tokens of a.txt, in windows of 256 (consecutive)."
std::string measurement_sentence(const Result& result);

std::string_view verdict_name(Verdict verdict);  // "pass" | "cannot tell" | "fail"

struct Column {
  std::string_view title;
  bool numeric;  // aligned to the right
  std::function<std::string(const ModelResult& model, const Result& result)> cell;
};

// A column without a figure for any model is left out by table_columns().
std::vector<Column> table_columns(const Result& result);

}  // namespace regroup::eval
