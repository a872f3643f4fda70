#include "eval/findings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "eval/breakdown.h"
#include "eval/figure.h"
#include "eval/gate.h"
#include "eval/statistics.h"
#include "eval/task_report.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

constexpr int kNatsDecimals = 4, kPerplexityDecimals = 3, kRatioDecimals = 4;

std::string savings(const ModelResult& model, const ModelResult& source) {
  if (model.facts.kv_heads == source.facts.kv_heads) return "";
  const double times = static_cast<double>(source.facts.kv_bytes_per_token) /
                       static_cast<double>(model.facts.kv_bytes_per_token);
  return fmt::format(" ({} of {} key/value heads, KV cache {:.3g}× {})", model.facts.kv_heads,
                     source.facts.kv_heads, std::max(times, 1 / times), times < 1 ? "larger" : "smaller");
}

bool contains(const Interval& interval, double value) {
  return interval.low <= value && value <= interval.high;
}

// As many as the interval's width gives a meaning to.
int percent_decimals(const Figure& ratio) {
  const double width = ratio.interval ? 100 * (ratio.interval->high - ratio.interval->low) : 1;
  return width >= 3 ? 0 : width >= 0.3 ? 1 : width >= 0.03 ? 2 : 3;
}

// "1.3% higher than the source's", "3.55 times the source's"
std::string change(const Figure& ratio, std::string_view whose) {
  if (ratio.value >= 2) return fmt::format("{:.3g} times {}", ratio.value, whose);
  std::string size = percent(ratio.value, percent_decimals(ratio));
  size.erase(0, size.find_first_of("0123456789"));
  return fmt::format("{} {} than {}", size, ratio.value < 1 ? "lower" : "higher", whose);
}

std::string range(const Figure& ratio) {
  const Interval& interval = *ratio.interval;
  if (ratio.value >= 2) return fmt::format("{:.3g} to {:.3g} times", interval.low, interval.high);
  const int decimals = percent_decimals(ratio);
  return fmt::format("{} to {}", percent(interval.low, decimals), percent(interval.high, decimals));
}

std::string source_sentence(const Result& result) {
  if (result.scored_tokens == 0) return source_task_sentence(result);
  const ModelResult& source = result.models.front();
  return fmt::format("{}: perplexity {} on {} tokens.", source.facts.name,
                     with_error(source.perplexity, kPerplexityDecimals), grouped(result.scored_tokens));
}

// Two digits, upwards: it is an estimate.
std::int64_t rounded_up(std::int64_t count) {
  std::int64_t unit = 1;
  while (count / unit >= 100) unit *= 10;
  return (count + unit - 1) / unit * unit;
}

const std::array kColumns = {
    Column{"model", false,
           [](const ModelResult& model, const Result& result) {
             return model.facts.name + (&model == &result.models.front() ? " (source)" : "");
           }},
    Column{"perplexity", true,
           [](const ModelResult& model, const Result& result) {
             return result.scored_tokens > 0 ? with_error(model.perplexity, kPerplexityDecimals)
                                             : std::string();
           }},
    Column{"nats/token", true,
           [](const ModelResult& model, const Result& result) {
             return result.scored_tokens > 0 ? with_error(model.nats, kNatsDecimals) : std::string();
           }},
    Column{"bits/byte", true,
           [](const ModelResult& model, const Result&) {
             return model.bits_per_byte ? with_error(*model.bits_per_byte, kNatsDecimals) : std::string();
           }},
    Column{"difference to source", true,
           [](const ModelResult& model, const Result&) {
             return model.difference ? with_error(*model.difference, kNatsDecimals, true) : std::string();
           }},
    Column{"perplexity ratio", true,
           [](const ModelResult& model, const Result&) {
             if (!model.ratio) return std::string();
             std::string text = fmt::format("{:.{}f}", model.ratio->value, kRatioDecimals);
             if (model.ratio->interval)
               text += " (" + interval_text(*model.ratio->interval, kRatioDecimals) + ")";
             return text;
           }},
    Column{"KV bytes/token", true,
           [](const ModelResult& model, const Result&) { return grouped(model.facts.kv_bytes_per_token); }},
    Column{"seconds", true,
           [](const ModelResult& model, const Result&) {
             return fmt::format("{:.1f}", model.load_seconds + model.score_seconds);
           }},
};

// Whether a part loses more than `mean` with the confidence of its interval, though the worst of so many
// parts is looked at (Bonferroni).
bool surely_above(const Figure& part, double mean, std::size_t parts, double confidence) {
  if (!part.interval) return false;
  const double beyond = (1 - confidence) / 2;
  const double farther =
      normal_quantile(1 - beyond / static_cast<double>(parts)) / normal_quantile(1 - beyond);
  return part.value - farther * (part.value - part.interval->low) > mean;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kFail:
      return "fail";
    case Verdict::kCannotTell:
      break;
  }
  return "cannot tell";
}

std::string ratio_phrase(const Figure& ratio, double confidence, std::string_view whose) {
  if (!ratio.interval)
    return "perplexity " + change(ratio, whose) + "; the text is too short to say how sure that is";
  const std::string sure = confidence_text(confidence) + " confidence";
  if (contains(*ratio.interval, 1))
    return fmt::format("perplexity cannot be told from {}: {} ({})", whose, range(ratio), sure);
  return fmt::format("perplexity {} ({}: {})", change(ratio, whose), sure, range(ratio));
}

std::string finding(const ModelResult& model, const Result& result) {
  check(model.ratio.has_value(), "the source is not compared with itself");
  const std::string subject = model.facts.name + savings(model, result.models.front()) + ": ";
  if (model.difference->value == 0 && model.difference->interval && model.difference->error.value_or(0) == 0)
    return subject + "predicts the text exactly as the source does.";
  return subject + ratio_phrase(*model.ratio, result.confidence, "the source's") + ".";
}

std::string divergence_sentence(const ModelResult& model) {
  if (model.statistics.empty()) return "";
  std::vector<std::string> parts;
  for (const Statistic& row : statistics()) {
    const Figure figure = scaled(*find_statistic(model, row.key), row.scale);
    parts.push_back(fmt::format("{} {}", row.title, with_error(figure, row.decimals)));
  }
  std::vector<std::string> quantiles;
  for (const Quantile& each : model.kl_quantiles)
    quantiles.push_back(each.probability == 1
                            ? fmt::format("largest {:.4g}", each.value)
                            : fmt::format("{:.4g}% {:.4g}", 100 * each.probability, each.value));
  return fmt::format("{} beside the source: {}. KL by percentile: {}.", model.facts.name,
                     fmt::join(parts, "; "), fmt::join(quantiles, ", "));
}

std::string where_sentence(const ModelResult& model, const Result& result) {
  constexpr double kWorthNaming = 0.05;  // of all that is lost: a handful of bad tokens is no place
  if (!model.difference || !model.difference->interval || model.difference->interval->low <= 0) return "";
  const double mean = model.difference->value, all = mean * static_cast<double>(result.scored_tokens);
  std::vector<std::string> places;
  for (std::size_t row = 0; row < model.parts.size(); ++row) {
    const PartResult* worst = nullptr;
    for (const PartResult& part : model.parts[row])
      if (surely_above(part.difference, mean, model.parts[row].size(), result.confidence) &&
          part.cost >= kWorthNaming * all && (!worst || part.difference.value > worst->difference.value))
        worst = &part;
    if (worst)
      places.push_back(fmt::format("{}, at {} ({}, {:.0f}% of its loss)", breakdowns()[row].title,
                                   worst->label, with_error(worst->difference, kNatsDecimals, true),
                                   100 * worst->cost / all));
  }
  if (places.empty()) return "";
  return fmt::format("{} loses most {}.", model.facts.name, fmt::join(places, "; "));
}

std::string decision_sentence(const ModelResult& model, const Result& result, std::size_t gate) {
  check(gate < model.gates.size() && gate < result.gates.size(), "there is such a gate");
  const GateDecision& decision = model.gates[gate];
  const GateKind& kind = kind_of(result.gates[gate]);
  const std::string& name = model.facts.name;
  const std::string subject = subject_of(result.gates[gate]);
  if (!decision.bounds)
    return fmt::format("Cannot tell: {} to claim an error for {}.",
                       kind.of_tasks() ? "too few examples" : "the text is too short", name);
  const std::string confidence = confidence_text(result.gates[gate].confidence) + " confidence";
  const std::string budget = fmt::format("the budget is {:.6g}", result.gates[gate].budget);
  if (decision.verdict == Verdict::kCannotTell)
    return fmt::format("Cannot tell: the {} of {} is {}, each bound with {}; {}.", subject, name,
                       interval_text(*decision.bounds, kRatioDecimals), confidence, budget);
  const bool passes = decision.verdict == Verdict::kPass, at_least = passes == kind.at_least;
  return fmt::format("{} budget: the {} of {} is at {} {:.{}f} with {}; {}.", passes ? "Within" : "Beyond",
                     subject, name, at_least ? "least" : "most",
                     at_least ? decision.bounds->low : decision.bounds->high, kRatioDecimals, confidence,
                     budget);
}

std::string advice_sentence(const GateDecision& decision, const Gate& gate) {
  if (decision.verdict != Verdict::kCannotTell) return "";
  const bool tasks = kind_of(gate).of_tasks();
  if (!decision.bounds)
    return tasks ? "Give more examples, better hundreds."
                 : "Give at least two windows of text, better fifty.";
  if (!decision.more_tokens)
    return fmt::format("No {} would likely decide: it lies on the budget.",
                       tasks ? "number of examples" : "amount of text");
  return fmt::format("About {} more {} of this kind would likely decide.",
                     grouped(rounded_up(*decision.more_tokens)), tasks ? "examples" : "tokens");
}

std::string headline(const Result& result) {
  const auto compared = std::span(result.models).subspan(1);
  if (compared.empty()) return source_sentence(result);
  if (!result.verdict && result.scored_tokens == 0) return task_sentences(compared.front(), result).front();
  if (!result.verdict)
    return finding(*std::ranges::min_element(compared, {}, [](const ModelResult& m) { return m.nats.value; }),
                   result);
  const ModelResult* worst = nullptr;
  for (const ModelResult& model : compared)
    if (std::ranges::any_of(model.gates,
                            [&](const GateDecision& d) { return d.verdict == *result.verdict; }) &&
        (!worst || model.nats.value > worst->nats.value))
      worst = &model;
  const auto gate = std::ranges::find(worst->gates, *result.verdict, &GateDecision::verdict);
  return decision_sentence(*worst, result, static_cast<std::size_t>(gate - worst->gates.begin()));
}

std::string measurement_sentence(const Result& result) {
  const std::string tasks = task_measurement(result);
  if (result.scored_tokens == 0)
    return fmt::format("{}, contexts of at most {} tokens, {} arithmetic.", tasks, result.window,
                       result.dtype);
  std::vector<std::string> names;
  for (const DataFile& file : result.files) names.push_back(file.path.filename().string());
  const std::string whole =
      result.scored_tokens < result.stream_tokens - 1 ? " of " + grouped(result.stream_tokens) : "";
  return fmt::format("{}{} tokens of {}, windows of {} ({}), {} arithmetic.{}", grouped(result.scored_tokens),
                     whole, list_some(names, 4), result.window, result.convention, result.dtype,
                     tasks.empty() ? "" : " Tasks: " + tasks + ".");
}

std::vector<Column> table_columns(const Result& result) {
  std::vector<Column> all(kColumns.begin(), kColumns.end());
  for (const Statistic& row : statistics())
    if (row.in_table)
      all.insert(all.end() - 2, {row.title, true, [&row](const ModelResult& model, const Result&) {
                                   const Figure* figure = find_statistic(model, row.key);
                                   return figure ? with_error(scaled(*figure, row.scale), row.decimals)
                                                 : std::string();
                                 }});
  std::erase_if(all, [&](const Column& column) {
    return std::ranges::all_of(result.models,
                               [&](const ModelResult& m) { return column.cell(m, result).empty(); });
  });
  return all;
}

}  // namespace regroup::eval
