#include "convert/calibrated_merge.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "convert/layer_files.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/memory.h"
#include "core/base/progress.h"
#include "core/base/units.h"
#include "core/base/version.h"
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

// Streams of the whole text, [W, T, M] on the CPU: the source's and the student's before a layer, and between
// them the target of that layer.
struct Streams {
  at::Tensor source_WTM, student_WTM, target_WTM;
};

// What a pass of the source through a layer leaves of its attention's inputs.
struct SeenInputs {
  at::Tensor moments_NN;            // sum of weighted x x^T over the windows that are learned from
  std::vector<at::Tensor> windows;  // the first ones themselves, [B, T, M] each
};

// Bytes that a layer takes at its heaviest: its weights, the student's projections with their gradients and
// Adam's two moments, and statistics in float64.
std::uint64_t layer_bytes(const family::ModelConfig& config, std::int64_t element) {
  const auto count = [](std::int64_t rows, std::int64_t columns) {
    return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns);
  };
  const std::uint64_t projections =
      2 * count(config.hidden, config.query_width()) + 2 * count(config.hidden, config.kv_width());
  const std::uint64_t feed_forward = 3 * count(config.hidden, config.ffn);
  const std::uint64_t statistics =
      2 * count(config.hidden, config.hidden) + 2 * count(config.query_width(), config.query_width());
  return static_cast<std::uint64_t>(element) * (6 * projections + feed_forward) + 8 * statistics;
}

at::Tensor make_stream(at::IntArrayRef shape, at::ScalarType type, const fs::path& file) {
  if (file.empty()) return at::empty(shape, type);
  fs::remove(file);
  return at::from_file(file.string(), /*shared=*/true, c10::multiply_integers(shape), type).view(shape);
}

class CalibratedMerge {
 public:
  CalibratedMerge(const ModelDirectory& model, const CalibrationRecipe& recipe, const CalibrationText& text,
                  const LayerFiles& files)
      : model_(model),
        recipe_(recipe),
        text_(text),
        files_(files),
        device_(model::open_device(recipe.device)),
        type_(model.find(Part::kKeyWeight, 0)->stored.info->dtype == checkpoint::DType::kF64 ? at::kDouble
                                                                                             : at::kFloat),
        student_config_(model.config),
        progress_(
            fmt::format("calibrating on {} windows of {} tokens", text.windows(), text.length()),
            static_cast<double>(model.config.layers) * passes() * static_cast<double>(text.tokens_WT.numel()),
            "tokens") {
    student_config_.kv_heads = recipe.merge.groups;
    weight_T1_ = at::ones({text.length(), 1}, at::TensorOptions(type_).device(device_));
    weight_T1_.narrow(0, 0, 1).fill_(recipe.options.first_position_weight);
    rotation_ = model::rotation_at(model.config, 0, text.length(), weight_T1_.options(), type_);
  }

  void run() {
    embed();
    for (std::int64_t layer = 0; layer < model_.config.layers; ++layer) {
      const model::Weights weights = model::load_layer(model_, layer, type_, device_);
      MergedLayer merged;
      if (files_.has(layer)) {
        advance_source(weights, layer, nullptr);
        merged = files_.read(layer);
      } else {
        merged = merge(weights, layer);
        files_.write(layer, merged);
      }
      if (layer + 1 < model_.config.layers) advance_student(weights, merged.attention, layer);
    }
  }

 private:
  double passes() const {
    double passes = 2;
    for (const Refit* refit : recipe_.refits) passes += refit->passes;
    return passes;
  }

  template <typename Visit>
  void for_batches(Visit visit) const {
    for (std::int64_t begin = 0; begin < text_.windows(); begin += kWindowsAtATime)
      visit(begin, std::min(kWindowsAtATime, text_.windows() - begin));
  }

  void embed() {
    const std::vector<std::int64_t> shape = {text_.windows(), text_.length(), model_.config.hidden};
    const std::uint64_t bytes =
        3 * static_cast<std::uint64_t>(c10::multiply_integers(shape)) * at::elementSize(type_);
    const std::uint64_t budget = recipe_.options.memory.value_or(available_host_memory() / 10 * 9);
    const std::uint64_t layer = layer_bytes(model_.config, static_cast<std::int64_t>(at::elementSize(type_)));
    const bool spill = bytes + layer > budget;
    if (spill)
      log_info(fmt::format("hidden states of {} do not fit beside a layer: they are kept in {}",
                           human_bytes(static_cast<double>(bytes)), files_.directory().string()));
    const auto stream = [&](const char* name) {
      return make_stream(shape, type_, spill ? files_.directory() / name : fs::path());
    };
    streams_ = {stream("source"), stream("student"), stream("target")};
    const model::Weights weights = model::load_embedding(model_, type_, device_);
    for_batches([&](std::int64_t begin, std::int64_t count) {
      const at::Tensor x_BTM =
          model::embedded(model_.config, weights, text_.tokens_WT.narrow(0, begin, count).to(device_));
      streams_.source_WTM.narrow(0, begin, count).copy_(x_BTM);
      streams_.student_WTM.narrow(0, begin, count).copy_(x_BTM);
    });
  }

  // Takes the source's stream through the layer; where `seen` is given, fills it and the layer's target.
  void advance_source(const model::Weights& weights, std::int64_t index, SeenInputs* seen) {
    const model::DecoderLayer layer(model_.config, weights, index);
    for_batches([&](std::int64_t begin, std::int64_t count) {
      at::Tensor stream = streams_.source_WTM.narrow(0, begin, count);
      at::Tensor x_BTM = stream.to(device_);
      const at::Tensor input_BTM = layer.attention_input(x_BTM);
      const at::Tensor output_BTM = layer.attention_output(layer.heads(input_BTM, rotation_));
      if (seen) {
        at::Tensor target_BTM = output_BTM;
        if (model_.config.block != family::Block::kPostNorm)
          target_BTM = target_BTM +
                       kDriftCorrection * (x_BTM - streams_.student_WTM.narrow(0, begin, count).to(device_));
        streams_.target_WTM.narrow(0, begin, count).copy_(target_BTM);
        const std::int64_t training = std::clamp(text_.training() - begin, std::int64_t{0}, count);
        add_moments(input_BTM.narrow(0, 0, training), seen->moments_NN);
        if (begin < std::min(kAttentionWindows, text_.training()))
          seen->windows.push_back(input_BTM.narrow(0, 0, training).cpu());
      }
      stream.copy_(layer.after(x_BTM, output_BTM));
      progress_.advance(static_cast<double>(count * text_.length()));
    });
  }

  void add_moments(const at::Tensor& input_BTM, at::Tensor& moments_NN) const {
    at::Tensor rows = input_BTM;
    if (moments_NN.size(0) > rows.size(2)) rows = at::cat({rows, at::ones_like(rows.narrow(2, 0, 1))}, 2);
    const at::Tensor weighted = rows * weight_T1_;
    moments_NN += at::matmul(weighted.flatten(0, 1).t(), rows.flatten(0, 1)).to(moments_NN.options());
  }

  MergedLayer merge(const model::Weights& weights, std::int64_t index) {
    const AttentionLayer source = read_attention(model_, index, /*with_queries=*/true);
    const std::int64_t inputs = source.k_KDN.size(2);
    SeenInputs seen{.moments_NN = at::zeros({inputs, inputs}, at::kDouble), .windows = {}};
    advance_source(weights, index, &seen);
    const double counted = static_cast<double>(text_.training()) * weight_T1_.sum().item<double>();
    const InputMoments moments{seen.moments_NN / counted};
    MergedLayer merged = merge_layer(source, &moments, /*calibrated=*/true, recipe_.merge, index);
    if (!recipe_.refits.empty()) refit(weights, index, source, at::cat(seen.windows), merged);
    merged.attention = rounded(merged.attention, index);
    return merged;
  }

  void refit(const model::Weights& weights, std::int64_t index, const AttentionLayer& source,
             const at::Tensor& source_input_STM, MergedLayer& merged) {
    Members order;
    for (const Members& members : merged.record.grouping)
      order.insert(order.end(), members.begin(), members.end());
    RefitProblem problem{.config = student_config_,
                         .fixed = without_projections(weights),
                         .layer = index,
                         .source = permuted(source, order),
                         .source_input_STM = source_input_STM,
                         .student_stream_WTM = streams_.student_WTM,
                         .target_WTM = streams_.target_WTM,
                         .rotation = rotation_,
                         .weight_T1 = weight_T1_,
                         .training = text_.training(),
                         .done = [this](double tokens) { progress_.advance(tokens); }};
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
      return heads.to(model::scalar_type(stored)).to(heads.scalar_type());
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
    for_batches([&](std::int64_t begin, std::int64_t count) {
      at::Tensor stream = streams_.student_WTM.narrow(0, begin, count);
      stream.copy_(layer(stream.to(device_), rotation_));
      progress_.advance(static_cast<double>(count * text_.length()));
    });
  }

  const ModelDirectory& model_;
  const CalibrationRecipe& recipe_;
  const CalibrationText& text_;
  const LayerFiles& files_;
  at::Device device_;
  at::ScalarType type_;
  family::ModelConfig student_config_;
  Progress progress_;
  at::Tensor weight_T1_;
  model::Rotation rotation_;
  Streams streams_;
};

// Everything that the merged layers depend on.
std::string fingerprint(const ModelDirectory& model, const CalibrationRecipe& recipe,
                        const CalibrationText& text) {
  Sha256 tokens;
  tokens.update(model::bytes_of(text.tokens_WT));
  Json print = {{"version", version()},
                {"commit", commit()},
                {"threads", at::get_num_threads()},
                {"device", recipe.device},
                {"config", model.config_json},
                {"method", recipe.merge.method->name},
                {"groups", recipe.merge.groups},
                {"by_cost", recipe.merge.by_cost},
                {"given", recipe.merge.given},
                {"grouping_seconds", recipe.merge.grouping_seconds},
                {"seed", recipe.merge.seed},
                {"first_position_weight", recipe.options.first_position_weight},
                {"dtype", recipe.dtype ? checkpoint::dtype_name(*recipe.dtype) : "as stored"},
                {"tokens", tokens.hex()},
                {"windows", text.windows()}};
  for (const Refit* refit : recipe.refits) print["refits"].push_back(refit->name);
  for (const auto& file : model.checkpoint.files()) {
    const auto changed = fs::last_write_time(file.path()).time_since_epoch().count();
    print["files"].push_back({fs::absolute(file.path()).string(), fs::file_size(file.path()), changed});
  }
  return to_text(print);
}

}  // namespace

MergedLayers merged_from_text(const ModelDirectory& model, const CalibrationRecipe& recipe,
                              const CalibrationText& text, const fs::path& work) {
  const at::NoGradGuard no_grad;
  const LayerFiles files(work, fingerprint(model, recipe, text));
  CalibratedMerge(model, recipe, text, files).run();
  family::ModelConfig config = model.config;
  config.kv_heads = recipe.merge.groups;
  return MergedLayers(config, [files](std::int64_t layer) { return files.read(layer); });
}

}  // namespace regroup::convert
