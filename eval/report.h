// The outputs of an evaluation, each a pure function of its result.
#pragma once

#include <string>

#include "core/base/json.h"
#include "eval/result.h"

namespace regroup::eval {

// docs/reports.md documents the fields. Everything outside "run" is the same when the same is run again.
inline constexpr int kReportFormatVersion = 4;
Json report_json(const Result& result);

// {value, standard_error, interval}
Json figure_json(const Figure& figure);

std::string report_markdown(const Result& result);

// The shape of lm-eval's results files, for its tooling (report_lm_eval.cc): of the model, or of the source
// where there is none.
Json lm_eval_json(const Result& result);

// A test case for each gate of each model: passed, a failure, or, where it cannot be told, an error. Needs a
// gate.
std::string report_junit(const Result& result);

// One self-contained page: no script, no network, light and dark, for a phone and for paper.
std::string report_html(const Result& result);

}  // namespace regroup::eval
