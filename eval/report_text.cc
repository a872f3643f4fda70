// The table and sentences for the terminal and for Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "core/base/version.h"
#include "eval/baseline.h"
#include "eval/bootstrap.h"
#include "eval/eval.h"
#include "eval/findings.h"
#include "eval/quantization_scale.h"
#include "eval/report.h"
#include "eval/report_losses.h"
#include "eval/task_report.h"
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

// Words first, numbers after them: whether each column of task_rows() is one.
std::vector<bool> numeric_task_columns(const std::vector<Row>& rows) {
  std::vector<bool> numeric(rows.empty() ? 0 : rows.front().size(), true);
  for (std::size_t column = 0; column < std::min<std::size_t>(2, numeric.size()); ++column)
    numeric[column] = false;
  return numeric;
}

std::vector<bool> numeric_columns(const std::vector<Column>& columns) {
  std::vector<bool> numeric;
  for (const Column& column : columns) numeric.push_back(column.numeric);
  return numeric;
}

std::string aligned_table(const std::vector<Row>& rows, const std::vector<bool>& numeric) {
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < numeric.size(); ++c) {
      std::size_t width = 0;
      for (const Row& other : rows) width = std::max(width, columns_wide(other[c]));
      const std::string padding(width - columns_wide(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (numeric[c] ? padding + row[c] : row[c] + padding);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string joined(const std::string& first, const std::string& second) {
  return first + (first.empty() || second.empty() ? "" : " ") + second;
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
    std::ranges::copy(task_sentences(model, result), std::back_inserter(all));
  for (const ModelResult& model : result.models)
    for (std::size_t gate = 0; gate < model.gates.size(); ++gate)
      all.push_back(joined(decision_sentence(model, result, gate),
                           advice_sentence(model.gates[gate], result.gates[gate])));
  return all;
}

// Where models stand among quantizations is told of texts.
std::string scale_source(const Result& result) {
  if (result.models.size() < 2 || result.scored_tokens == 0) return "";
  return fmt::format("Scale of quantizations: {}.\n", kScaleSource);
}

// What errors are taken over.
std::string error_units(const Result& result) {
  return joined(result.cluster_summary, result.tasks.empty() ? "" : "Of tasks, by example.");
}

std::string markdown_table(const std::vector<Row>& rows, const std::vector<bool>& numeric) {
  std::string text;
  for (const Row& row : rows) {
    const bool header = text.empty();
    for (const std::string& cell : row) text += "| " + markdown_text(cell) + " ";
    text += "|\n";
    if (!header) continue;
    for (const bool number : numeric) text += number ? "|---:" : "|---";
    text += "|\n";
  }
  return text;
}

// The models' figures, and what they got right of tasks, each by `table`.
std::string tables(const Result& result,
                   std::string (*table)(const std::vector<Row>& rows, const std::vector<bool>& numeric)) {
  const std::vector<Column> columns = table_columns(result);
  const std::vector<Row> tasks = task_rows(result);
  return table(table_rows(result, columns), numeric_columns(columns)) + "\n" +
         (tasks.empty() ? "" : table(tasks, numeric_task_columns(tasks)) + "\n");
}

}  // namespace

std::string terminal_text(const Result& result) {
  std::string text = tables(result, aligned_table);
  for (const std::string& sentence : sentences(result)) text += sentence + "\n";
  text += measurement_sentence(result) + "\n± is one standard error. " + error_units(result) + "\n";
  return text + scale_source(result);
}

std::string report_markdown(const Result& result) {
  std::string text = "# " + markdown_text(headline(result)) + "\n\n" + tables(result, markdown_table);
  for (const std::string& sentence : sentences(result)) text += "- " + markdown_text(sentence) + "\n";
  text += fmt::format("\n{} ± is one standard error; intervals are at {} confidence. {}\n",
                      markdown_text(measurement_sentence(result)), confidence_text(result.confidence),
                      error_units(result));
  if (result.scored_tokens > 0)
    text += fmt::format("\nConvention `{}`, W = {}: {} Documents: {}.\n", result.convention, result.window,
                        result.convention_summary, result.document_convention);
  text += fmt::format("\n| data | SHA-256 |\n|---|---|\n");
  std::vector<DataFile> files = result.files;
  std::ranges::copy(result.task_files, std::back_inserter(files));
  for (const DataFile& file : files)
    text += fmt::format("| {} | `{}` |\n", markdown_text(file.path.string()), file.sha256);
  text += losses_markdown(result);
  const std::string scale = scale_source(result);
  if (!scale.empty()) text += "\n" + scale;
  return text + fmt::format("\nregroup {} (commit {})\n", version(), commit());
}

}  // namespace regroup::eval
