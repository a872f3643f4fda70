#include "eval/quantization_scale.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "eval/statistics.h"

namespace regroup::eval {
namespace {

// kScaleSource. Same top is from "LLaMA 2 vs. LLaMA 3 Quantization comparison" below it.
constexpr Quantization kAll[] = {
    {.name = "q8_0",
     .perplexity = 6.234284,
     .perplexity_change = 0.002650,
     .kl = 0.001355,
     .same_top = 0.97674},
    {.name = "q6_K",
     .perplexity = 6.253382,
     .perplexity_change = 0.021748,
     .kl = 0.005452,
     .same_top = 0.96031},
    {.name = "q5_K_M", .perplexity = 6.288607, .perplexity_change = 0.056974, .kl = 0.010762},
    {.name = "q5_K_S", .perplexity = 6.336598, .perplexity_change = 0.104964, .kl = 0.016595},
    {.name = "q4_K_M",
     .perplexity = 6.407115,
     .perplexity_change = 0.175482,
     .kl = 0.031273,
     .same_top = 0.91901},
    {.name = "q4_K_S", .perplexity = 6.500529, .perplexity_change = 0.268895, .kl = 0.043136},
    {.name = "q3_K_L", .perplexity = 6.787876, .perplexity_change = 0.556242, .kl = 0.087176},
    {.name = "q3_K_M", .perplexity = 6.888498, .perplexity_change = 0.656864, .kl = 0.101913},
    {.name = "q3_K_S", .perplexity = 7.863786, .perplexity_change = 1.632152, .kl = 0.228217},
    {.name = "q2_K",
     .perplexity = 9.751568,
     .perplexity_change = 3.519934,
     .kl = 0.445132,
     .same_top = 0.71138},
};

std::optional<double> value_of(const ModelResult& model, std::string_view key) {
  const Figure* figure = find_statistic(model, key);
  return figure ? std::optional(figure->value) : std::nullopt;
}

constexpr ScaleFigure kFigures[] = {
    {.key = "kl_divergence",
     .title = "KL divergence",
     .decimals = 4,
     .of_model = [](const ModelResult& model) { return value_of(model, "kl_divergence"); },
     .of_quantization = [](const Quantization& row) { return std::optional(row.kl); }},
    {.key = "perplexity_ratio",
     .title = "perplexity ratio",
     .decimals = 4,
     .of_model =
         [](const ModelResult& model) {
           return model.ratio ? std::optional(model.ratio->value) : std::nullopt;
         },
     .of_quantization = [](const Quantization& row) { return std::optional(row.perplexity_ratio()); }},
    {.key = "same_top",
     .title = "same top",
     .decimals = 4,
     .of_model = [](const ModelResult& model) { return value_of(model, "same_top"); },
     .of_quantization = [](const Quantization& row) { return row.same_top; }},
};

}  // namespace

std::span<const Quantization> quantizations() {
  return kAll;
}

std::span<const ScaleFigure> scale_figures() {
  return kFigures;
}

std::optional<ScalePlace> place_on_scale(const ModelResult& model, const ScaleFigure& figure) {
  const std::optional<double> value = figure.of_model(model);
  if (!value) return std::nullopt;
  // A larger figure is worse, or a smaller one, as the ends of the scale say.
  const bool ascends = *figure.of_quantization(kAll[0]) < *figure.of_quantization(*std::rbegin(kAll));
  ScalePlace place;
  for (const Quantization& row : kAll) {
    const std::optional<double> mark = figure.of_quantization(row);
    if (!mark) continue;
    if (ascends ? *mark <= *value : *mark >= *value) {
      place.finer = &row;
    } else {
      place.coarser = &row;
      break;
    }
  }
  return place;
}

std::string place_text(const ScalePlace& place) {
  if (!place.finer) return fmt::format("better than {}", place.coarser->name);
  if (!place.coarser) return fmt::format("worse than {}", place.finer->name);
  return fmt::format("between {} and {}", place.finer->name, place.coarser->name);
}

std::string scale_sentence(const ModelResult& model) {
  std::vector<std::string> parts;
  for (const ScaleFigure& figure : kFigures)
    if (const std::optional<ScalePlace> place = place_on_scale(model, figure))
      parts.push_back(fmt::format("{} ({} {:.{}f})", place_text(*place), figure.title,
                                  *figure.of_model(model), figure.decimals));
  if (parts.empty()) return "";
  return fmt::format("{} beside llama.cpp's quantizations of Llama-3-8B: {}.", model.facts.name,
                     fmt::join(parts, "; "));
}

}  // namespace regroup::eval
