#include "convert/calibrated_merge.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "convert/fingerprint.h"
#include "convert/layer_files.h"
#include "convert/source_stream.h"
#include "convert/stream_storage.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/progress.h"
#include "core/model/decoder.h"
#include "core/model/device.h"
#include "core/model/stored.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;

using family::ModelDirectory;
using family::Part;

// How much of the difference that the student's stream has gathered a layer's target makes up for. (Where a
// norm stands between attention and the stream, nothing: what is added is no sum with it.)
constexpr double kDriftCorrection = 1;

// Windows whose attention itself is compared (refits/query.cc).
constexpr std::int64_t kAttentionWindows = 16;

// Of positions in statistics and errors: 1, but for the first.
at::Tensor position_weights(std::int64_t length, double first, at::TensorOptions options) {
  at::Tensor weight_T1 = at::ones({length, 1}, options);
  weight_T1.narrow(0, 0, 1).fill_(first);
  return weight_T1;
}

class CalibratedMerge {
 public:
  CalibratedMerge(const ModelDirectory& model, const CalibrationRecipe& recipe,
                  const CalibrationTokens& tokens, const LayerFiles& files)
      : model_(model),
        recipe_(recipe),
        tokens_(tokens),
        files_(files),
        device_(model::open_device(recipe.device)),
        type_(arithmetic_of(model)),
        student_config_(model.config),
        progress_(fmt::format("calibrating on {} windows of {} tokens", tokens.windows(), tokens.length()),
                  work(), "tokens"),
        weight_T1_(position_weights(tokens.length(), recipe.options.first_position_weight,
                                    at::TensorOptions(type_).device(device_))),
        storage_(model, tokens.tokens_WT, follows_student() ? 3 : 1, recipe.options),
        source_(model, tokens.tokens_WT, storage_.make(), device_) {
    student_config_.kv_heads = recipe.merge.groups;
    if (!follows_student()) return;
    student_WTM_ = storage_.make().copy_(source_.stream_WTM());
    target_WTM_ = storage_.make();
  }

  void run() {
    for (std::int64_t layer = 0; layer < model_.config.layers; ++layer) {
      model::Weights weights = model::load_layer(model_, layer, type_, device_);
      MergedLayer merged;
      if (files_.has(layer)) {
        source_.advance(weights, [&](const SourceStream::Step& step) { count(step.stream_BTM); });
        merged = files_.read(layer);
      } else {
        merged = merge(weights, layer);
        files_.write(layer, merged);
      }
      if (follows_student() && layer + 1 < model_.config.layers)
        advance_student(weights, merged.attention, layer);
    }
  }

 private:
  // Statistics are of the source alone. Only refits look at what earlier merges have changed.
  bool follows_student() const { return !recipe_.refits.empty(); }

  // Tokens that are gone through: by source and student through every layer, but not by the student through
  // the last; and by refits of the layers that are not finished yet.
  double work() const {
    const double layers = static_cast<double>(model_.config.layers),
                 tokens = static_cast<double>(tokens_.tokens_WT.numel());
    double refits = 0;
    for (const Refit* refit : recipe_.refits) refits += refit->passes;
    double unfinished = 0;
    for (std::int64_t layer = 0; layer < model_.config.layers; ++layer) unfinished += !files_.has(layer);
    return tokens * (layers + (follows_student() ? layers - 1 : 0)) +
           unfinished * refits * static_cast<double>(tokens_.training() * tokens_.length());
  }

  void count(const at::Tensor& stream_BTM) {
    progress_.advance(static_cast<double>(stream_BTM.size(0) * stream_BTM.size(1)));
  }

  bool reads_source() const {
    return std::ranges::any_of(recipe_.refits, [](const Refit* refit) { return refit->reads_source; });
  }

  std::int64_t attention_windows() const { return std::min(kAttentionWindows, tokens_.training()); }

  // Takes the projections that it has replaced out of `weights`: what is large is held once, and not while
  // refits hold theirs.
  MergedLayer merge(model::Weights& weights, std::int64_t index) {
    AttentionLayer source = read_attention(model_, index, /*with_queries=*/true);
    std::vector<at::Tensor> first_inputs;
    const auto merged_by_moments = [&] {
      const InputMoments moments = observe(weights, source.k_KDN.size(2), index, first_inputs);
      return merge_layer(source, &moments, /*calibrated=*/true, recipe_.merge, index);
    };
    MergedLayer merged = merged_by_moments();
    weights = without_projections(weights);
    if (!reads_source()) source = {};
    if (follows_student()) refit(weights, index, source, first_inputs, merged);
    merged.attention = rounded(merged.attention, index);
    return merged;
  }

  // Moves the source through the layer: moments of what its attention reads, N numbers a token, targets, and
  // for refits that read the source its inputs on the first windows.
  InputMoments observe(const model::Weights& weights, std::int64_t inputs, std::int64_t index,
                       std::vector<at::Tensor>& first_inputs) {
    MomentSum moments(inputs, weight_T1_);
    source_.advance(weights, [&](const SourceStream::Step& step) {
      const at::Tensor learned_BTM = tokens_.learned(step.input_BTM, step.begin);
      moments.add(learned_BTM);
      if (follows_student()) set_target(step);
      if (reads_source() && step.begin < attention_windows()) first_inputs.push_back(learned_BTM.cpu());
      count(step.stream_BTM);
    });
    InputMoments mean = moments.mean();
    if (!mean.finite())
      throw UserError({.where = model_.path.string(),
                       .what = fmt::format("hidden states leave float32's range before layer {}", index),
                       .remedy = "--weights-only looks at no tokens"});
    return mean;
  }

  // What attention should add to the student's stream.
  void set_target(const SourceStream::Step& step) {
    at::Tensor target_BTM = step.output_BTM;
    const std::int64_t windows = step.stream_BTM.size(0);
    if (model_.config.block != family::Block::kPostNorm)
      target_BTM = target_BTM + kDriftCorrection * (step.stream_BTM -
                                                    student_WTM_.narrow(0, step.begin, windows).to(device_));
    target_WTM_.narrow(0, step.begin, windows).copy_(target_BTM);
  }

  // `weights`: without projections.
  void refit(const model::Weights& weights, std::int64_t index, const AttentionLayer& source,
             const std::vector<at::Tensor>& first_inputs, MergedLayer& merged) {
    RefitProblem problem{.config = student_config_,
                         .fixed = weights,
                         .layer = index,
                         .source = {},
                         .source_input_STM = {},
                         .student_stream_WTM = student_WTM_,
                         .target_WTM = target_WTM_,
                         .rotation = source_.rotation(),
                         .weight_T1 = weight_T1_,
                         .training = tokens_.training(),
                         .done = [this](double tokens) { progress_.advance(tokens); }};
    if (reads_source()) {
      problem.source = permuted(source, order_of(merged.record.grouping));
      problem.source_input_STM = at::cat(first_inputs).narrow(0, 0, attention_windows());
    }
    double error = held_out_error(problem, merged.attention);
    for (const Refit* row : recipe_.refits) {
      AttentionLayer fitted = row->fit(problem, merged.attention);
      const double after = held_out_error(problem, fitted);
      const bool better = after < error;
      merged.record.refits.push_back({std::string(row->name), error, after, better});
      if (!better) continue;
      merged.attention = std::move(fitted);
      error = after;
    }
  }

  // What DecoderLayer reads besides the projections that are merged.
  model::Weights without_projections(const model::Weights& weights) const {
    model::Weights rest;
    for (const auto& [key, tensor] : weights)
      if (!in_attention_layer(model_.config, key.first)) rest.emplace(key, tensor);
    return rest;
  }

  // As the files will hold it: what follows sees the rounding too.
  AttentionLayer rounded(const AttentionLayer& layer, std::int64_t index) const {
    const checkpoint::DType stored =
        recipe_.dtype.value_or(model_.find(Part::kKeyWeight, index)->stored.info->dtype);
    const auto round = [&](const at::Tensor& heads) {
      const at::Tensor result = heads.to(model::scalar_type(stored)).to(heads.scalar_type());
      if (!result.isfinite().all().item<bool>())
        throw UserError({.where = fmt::format("layer {}, merged", index),
                         .what = fmt::format("does not fit {}", checkpoint::dtype_name(stored)),
                         .remedy = "Convert to a wider type: --dtype bf16 or fp32"});
      return result;
    };
    AttentionLayer result = layer;
    for (at::Tensor* heads :
         {&result.q_HDN, &result.k_KDN, &result.v_KDN, &result.o_MHD, &result.q_norm_HD, &result.k_norm_KD})
      if (heads->defined()) *heads = round(*heads);
    return result;
  }

  void advance_student(const model::Weights& weights, const AttentionLayer& student, std::int64_t index) {
    model::Weights changed = without_projections(weights);
    put_projections(student_config_, student, index, changed, weight_T1_.options());
    const model::DecoderLayer layer(student_config_, changed, index);
    for_each_batch(0, tokens_.windows(), tokens_.length(), [&](std::int64_t begin, std::int64_t windows) {
      at::Tensor stream = student_WTM_.narrow(0, begin, windows);
      stream.copy_(layer(stream.to(device_), source_.rotation()));
      count(stream);
    });
  }

  const ModelDirectory& model_;
  const CalibrationRecipe& recipe_;
  const CalibrationTokens& tokens_;
  const LayerFiles& files_;
  at::Device device_;
  at::ScalarType type_;
  family::ModelConfig student_config_;
  Progress progress_;
  at::Tensor weight_T1_;
  StreamStorage storage_;
  SourceStream source_;
  at::Tensor student_WTM_, target_WTM_;  // undefined where no student is followed
};

// Everything that the merged layers depend on, but for roundings: the number of threads decides the order of
// sums.
Json layers_print(const ModelDirectory& model, const CalibrationRecipe& recipe,
                  const CalibrationTokens& seen) {
  Json print = fingerprint(model, recipe.device);
  Sha256 tokens;
  tokens.update(model::bytes_of(seen.tokens_WT));
  print["tokens"] = tokens.hex();
  print["windows"] = seen.windows();
  print["method"] = recipe.merge.method->name;
  print["kv_heads"] = recipe.merge.groups;
  print["grouping"] = {{"by_cost", recipe.merge.by_cost},
                       {"given", recipe.merge.given},
                       {"seconds", recipe.merge.grouping_seconds}};
  print["seed"] = recipe.merge.seed;
  print["first_position_weight"] = recipe.options.first_position_weight;
  print["dtype"] = recipe.dtype ? checkpoint::dtype_name(*recipe.dtype) : "as stored";
  print["refit"] = Json::array();
  for (const Refit* refit : recipe.refits) print["refit"].push_back(refit->name);
  return print;
}

}  // namespace

std::uint64_t layer_file_bytes(const ModelDirectory& model, std::int64_t groups) {
  family::ModelConfig config = model.config;
  config.kv_heads = groups;
  const std::int64_t rows = 2 * (config.query_width() + config.kv_width());  // [H·D, N], [K·D, N], [M, H·D]
  return static_cast<std::uint64_t>(config.layers * rows * (config.hidden + 1)) *
         at::elementSize(arithmetic_of(model));
}

MergedLayers merged_from_tokens(const ModelDirectory& model, const CalibrationRecipe& recipe,
                                const CalibrationTokens& seen, const fs::path& work) {
  const at::NoGradGuard no_grad;
  const LayerFiles files(work, layers_print(model, recipe, seen));
  CalibratedMerge(model, recipe, seen, files).run();
  family::ModelConfig config = model.config;
  config.kv_heads = recipe.merge.groups;
  return MergedLayers(config, [files](std::int64_t layer) { return files.read(layer); });
}

}  // namespace regroup::convert
