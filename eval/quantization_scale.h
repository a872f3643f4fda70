// The scale that people know: how far quantizations of one model are from it, by the same figures. A model
// that lies between two of them costs about as much as choosing the coarser one would.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "eval/result.h"

namespace regroup::eval {

// One row of llama.cpp's scoreboard of Llama-3-8B on WikiText-2, without an importance matrix.
struct Quantization {
  std::string_view name;
  double perplexity = 0, perplexity_change = 0;  // PPL and ΔPPL as printed there
  double kl = 0;                                 // mean, nats
  std::optional<double> same_top = {};           // a share; printed for some only

  double perplexity_ratio() const { return perplexity / (perplexity - perplexity_change); }
};

std::span<const Quantization> quantizations();  // the finest first, worse in every figure from row to row

inline constexpr std::string_view kScaleSource =
    "llama.cpp, tools/perplexity/README.md, LLaMA 3 8b Scoreboard (revision f364eb6f, WikiText-2, no "
    "importance "
    "matrix)";

// A figure that the scale has too.
struct ScaleFigure {
  std::string_view key, title;  // in JSON; in a sentence
  int decimals;
  std::optional<double> (*of_model)(const ModelResult& model);  // empty where it is not known
  std::optional<double> (*of_quantization)(const Quantization& quantization);
};

std::span<const ScaleFigure> scale_figures();  // the one that says most first

// The neighbours of a figure on the scale: null at its ends.
struct ScalePlace {
  const Quantization *finer = nullptr, *coarser = nullptr;
};

// Empty where the figure is not known.
std::optional<ScalePlace> place_on_scale(const ModelResult& model, const ScaleFigure& figure);

std::string place_text(const ScalePlace& place);  // "between q3_K_M and q2_K"

// "On llama.cpp's scale … : KL divergence 0.0364 between …"; empty for the source.
std::string scale_sentence(const ModelResult& model);

}  // namespace regroup::eval
