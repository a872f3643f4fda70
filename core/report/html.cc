#include "core/report/html.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/report/style.h"

namespace regroup::report {

std::string html_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string html_page(std::string_view title, std::string_view style, const std::string& body) {
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += "<title>" + html_escape(title) + "</title>\n";
  html += fmt::format("<style>{}{}</style>\n</head>\n<body>\n<main>\n", kPageStyle, style);
  return html + body + "</main>\n</body>\n</html>\n";
}

std::string html_section(std::string_view title, const std::string& body) {
  if (body.empty()) return "";
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", html_escape(title), body);
}

std::string html_entry(std::string_view term, const std::string& description) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_escape(term), description);
}

std::vector<double> round_ticks(double low, double high) {
  check(high > low, "an axis has a length");
  const double rough = (high - low) / 4, decade = std::pow(10., std::floor(std::log10(rough)));
  double step = 10 * decade;
  for (const double factor : {5., 2., 1.})
    if (factor * decade >= rough) step = factor * decade;
  std::vector<double> ticks;
  for (double k = std::ceil(low / step); k * step <= high; ++k) ticks.push_back(k * step);
  return ticks;
}

}  // namespace regroup::report
