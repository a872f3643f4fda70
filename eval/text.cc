#include "eval/text.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace regroup::eval {
namespace {

// A true minus, and no "-0.0000".
std::string number(double value, int decimals, bool sign) {
  const std::string text = fmt::format("{:.{}f}", std::abs(value), decimals);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return fmt::format("{}{}", zero ? "" : value < 0 ? "−" : sign ? "+" : "", text);
}

}  // namespace

std::string grouped(std::int64_t count) {
  const std::string digits = std::to_string(std::abs(count));
  std::string text = count < 0 ? "−" : "";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string percent(double ratio, int decimals) {
  return number(100 * (ratio - 1), decimals, true) + "%";
}

std::string with_error(const Figure& figure, int decimals, bool sign) {
  const std::string value = number(figure.value, decimals, sign);
  if (!figure.error && figure.interval)
    return fmt::format("{} ({})", value, interval_text(*figure.interval, decimals, sign));
  return value + " ± " + (figure.error ? number(*figure.error, decimals, false) : "?");
}

std::string interval_text(const Interval& interval, int decimals, bool sign) {
  return number(interval.low, decimals, sign) + " to " + number(interval.high, decimals, sign);
}

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!space)
      line += c;
    else if (line.empty() || line.back() != ' ')
      line += ' ';
  }
  return line;
}

std::string markdown_text(const std::string& text) {
  std::string escaped;
  for (const char c : one_line(text)) {
    if (std::string_view("\\`*_[]<>|#").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string confidence_text(double confidence) {
  return fmt::format("{:.4g}%", 100 * confidence);
}

}  // namespace regroup::eval
