#include "convert/source_stream.h"

#include "core/model/decoder.h"

namespace regroup::convert {

using family::Part;

at::ScalarType arithmetic_of(const family::ModelDirectory& model) {
  return model.find(Part::kKeyWeight, 0)->stored.info->dtype == checkpoint::DType::kF64 ? at::kDouble
                                                                                        : at::kFloat;
}

SourceStream::SourceStream(const family::ModelDirectory& model, const at::Tensor& tokens_WT,
                           at::Tensor stream_WTM, at::Device device)
    : config_(model.config),
      stream_WTM_(std::move(stream_WTM)),
      device_(device),
      rotation_(model::rotation_at(model.config, 0, tokens_WT.size(1), stream_WTM_.options().device(device),
                                   stream_WTM_.scalar_type())) {
  const model::Weights weights = model::load_embedding(model, stream_WTM_.scalar_type(), device);
  for_each_batch(0, tokens_WT.size(0), tokens_WT.size(1), [&](std::int64_t begin, std::int64_t count) {
    stream_WTM_.narrow(0, begin, count)
        .copy_(model::embedded(config_, weights, tokens_WT.narrow(0, begin, count).to(device)));
  });
}

void SourceStream::advance(const model::Weights& weights, const std::function<void(const Step&)>& visit) {
  const model::DecoderLayer layer(config_, weights, layer_);
  const bool is_last = ++layer_ == config_.layers;
  for_each_batch(0, stream_WTM_.size(0), stream_WTM_.size(1), [&](std::int64_t begin, std::int64_t count) {
    at::Tensor stream = stream_WTM_.narrow(0, begin, count);
    Step step{.begin = begin, .stream_BTM = stream.to(device_), .input_BTM = {}, .output_BTM = {}};
    step.input_BTM = layer.attention_input(step.stream_BTM);
    step.output_BTM = layer.attention_output(layer.heads(step.input_BTM, rotation_));
    visit(step);
    if (!is_last) stream.copy_(layer.after(step.stream_BTM, step.output_BTM));
  });
}

MomentSum::MomentSum(std::int64_t inputs, at::Tensor weight_T1)
    : weight_T1_(std::move(weight_T1)), sum_NN_(at::zeros({inputs, inputs}, at::kDouble)) {}

void MomentSum::add(const at::Tensor& input_BTM) {
  at::Tensor rows = input_BTM;
  if (sum_NN_.size(0) > rows.size(2)) rows = at::cat({rows, at::ones_like(rows.narrow(2, 0, 1))}, 2);
  const at::Tensor weighted = rows * weight_T1_;
  sum_NN_ += at::matmul(weighted.flatten(0, 1).t(), rows.flatten(0, 1)).to(sum_NN_.options());
  windows_ += input_BTM.size(0);
}

InputMoments MomentSum::mean() const {
  return {sum_NN_ / (static_cast<double>(windows_) * weight_T1_.sum().item<double>())};
}

}  // namespace regroup::convert
