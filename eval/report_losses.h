// Where models lose, as parts of the Markdown and the HTML report: breakdowns, documents, passages, and the
// scale of quantizations.
#pragma once

#include <string>
#include <string_view>

#include "eval/result.h"

namespace regroup::eval {

std::string losses_markdown(const Result& result);

// Bodies of sections of the page; empty where there is nothing to show.
std::string breakdowns_html(const Result& result);
std::string passages_html(const Result& result);
std::string scale_html(const Result& result);

// What they add to the page's style.
extern const std::string_view kLossesStyle;

}  // namespace regroup::eval
