// How reports write numbers.
#pragma once

#include <cstdint>
#include <string>

#include "eval/result.h"

namespace regroup::eval {

std::string grouped(std::int64_t count);          // 121088 -> "121,088"
std::string percent(double ratio, int decimals);  // 1.013 -> "+1.3%"
std::string with_error(
    const Figure& figure, int decimals,
    bool sign = false);  // "17.53 ± 0.21", "17.53 ± ?", "100.00 (94.38 to 100.00)" without an error
std::string interval_text(const Interval& interval, int decimals, bool sign = false);  // "1.0112 to 1.0150"
std::string one_line(const std::string& text);       // line ends become spaces
std::string markdown_text(const std::string& text);  // the same in Markdown: what would mark up is escaped
std::string confidence_text(double confidence);      // 0.95 -> "95%"

}  // namespace regroup::eval
