// The table and sentences for the terminal and for Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/version.h"
#include "eval/baseline.h"
#include "eval/bootstrap.h"
#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/quantization_scale.h"
#include "eval/report.h"
#include "eval/report_losses.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

using Row = std::vector<std::string>;

// Characters, not bytes: "±" and "−" are one column wide.
std::size_t columns_wide(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::vector<Row> table_rows(const Result& result, const std::vector<Column>& columns) {
  std::vector<Row> rows(1);
  for (const Column& column : columns) rows.front().emplace_back(column.title);
  for (const ModelResult& model : result.models) {
    Row& row = rows.emplace_back();
    for (const Column& column : columns) row.push_back(column.cell(model, result));
  }
  return rows;
}

std::string aligned_table(const Result& result) {
  const std::vector<Column> columns = table_columns(result);
  const std::vector<Row> rows = table_rows(result, columns);
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::size_t width = 0;
      for (const Row& other : rows) width = std::max(width, columns_wide(other[c]));
      const std::string padding(width - columns_wide(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (columns[c].numeric ? padding + row[c] : row[c] + padding);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string joined(const std::string& first, const std::string& second) {
  return second.empty() ? first : first + " " + second;
}

std::vector<std::string> sentences(const Result& result) {
  std::vector<std::string> all;
  for (const ModelResult& model : result.models)
    if (model.difference) all.push_back(finding(model, result));
  for (const ModelResult& model : result.models)
    if (!model.statistics.empty()) all.push_back(divergence_sentence(model));
  for (const ModelResult& model : result.models) {
    if (!model.difference) continue;
    all.push_back(scale_sentence(model));
    const std::string where = where_sentence(model, result);
    if (!where.empty()) all.push_back(where);
    for (std::string sentence : {bootstrap_sentence(model, result), baseline_sentence(model, result)})
      if (!sentence.empty()) all.push_back(std::move(sentence));
  }
  for (const ModelResult& model : result.models)
    for (std::size_t gate = 0; gate < model.gates.size(); ++gate)
      all.push_back(joined(decision_sentence(model, result, gate), advice_sentence(model.gates[gate])));
  return all;
}

std::string markdown_cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != text.npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

std::string markdown_table(const Result& result) {
  const std::vector<Column> columns = table_columns(result);
  std::string text;
  for (const Row& row : table_rows(result, columns)) {
    const bool header = text.empty();
    for (const std::string& cell : row) text += "| " + markdown_cell(cell) + " ";
    text += "|\n";
    if (!header) continue;
    for (const Column& column : columns) text += column.numeric ? "|---:" : "|---";
    text += "|\n";
  }
  return text;
}

}  // namespace

std::string terminal_text(const Result& result) {
  std::string text = aligned_table(result) + "\n";
  for (const std::string& sentence : sentences(result)) text += sentence + "\n";
  text += measurement_sentence(result) + "\n± is one standard error. " + result.cluster_summary + "\n";
  if (result.models.size() > 1) text += fmt::format("Scale of quantizations: {}.\n", kScaleSource);
  return text;
}

std::string report_markdown(const Result& result) {
  std::string text = "# " + headline(result) + "\n\n" + markdown_table(result) + "\n";
  for (const std::string& sentence : sentences(result)) text += "- " + sentence + "\n";
  text +=
      fmt::format("\n{} ± is one standard error; intervals are at {} confidence. {}\n",
                  measurement_sentence(result), confidence_text(result.confidence), result.cluster_summary);
  text += fmt::format("\nConvention `{}`, W = {}: {} Documents: {}.\n", result.convention, result.window,
                      result.convention_summary, result.document_convention);
  text += fmt::format("\n| data | SHA-256 |\n|---|---|\n");
  for (const DataFile& file : result.files)
    text += fmt::format("| {} | `{}` |\n", markdown_cell(file.path.string()), file.sha256);
  return text + losses_markdown(result) +
         fmt::format("\nScale of quantizations: {}.\n\nregroup {} (commit {})\n", kScaleSource, version(),
                     commit());
}

}  // namespace regroup::eval
