// What every HTML report is made of: one self-contained page, no script, no network, light and dark, for a
// phone and for paper.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace regroup::report {

// Text for the inside of an element or a quoted attribute.
std::string html_escape(std::string_view text);

// `title` is plain text; `style` is added to the common style sheet (style.h); `body` is what <main> holds.
std::string html_page(std::string_view title, std::string_view style, const std::string& body);

// `title` is plain text. Empty where the body is.
std::string html_section(std::string_view title, const std::string& body);

// A line of a <dl>: `term` is plain text, `description` is HTML.
std::string html_entry(std::string_view term, const std::string& description);

// Three to six round numbers within [low, high], for an axis.
std::vector<double> round_ticks(double low, double high);

}  // namespace regroup::report
