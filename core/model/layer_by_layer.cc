#include "core/model/layer_by_layer.h"

#include <map>

#include "core/base/error.h"
#include "core/model/decoder.h"

namespace regroup::model {

void for_each_stream(std::span<const at::Tensor> batches_BT, const at::Tensor& streams_NM,
                     const std::function<void(const at::Tensor&, at::Tensor)>& take) {
  std::int64_t row = 0;
  for (const at::Tensor& batch_BT : batches_BT) {
    const at::Tensor rows_NM = streams_NM.narrow(0, row, batch_BT.numel());
    take(batch_BT, rows_NM.view({batch_BT.size(0), batch_BT.size(1), streams_NM.size(1)}));
    row += batch_BT.numel();
  }
  check(row == streams_NM.size(0), "streams have a row for each token of the batches");
}

void run_layer_by_layer(const family::ModelDirectory& model, std::span<const at::Tensor> batches_BT,
                        at::Device device, const at::Tensor& streams_NM,
                        const std::function<void(double)>& done) {
  const at::NoGradGuard no_gradients;
  const at::ScalarType type = streams_NM.scalar_type();
  std::map<std::int64_t, Rotation> rotations;  // by the length of a batch
  {
    const Weights weights = load_embedding(model, type, device);
    for_each_stream(batches_BT, streams_NM, [&](const at::Tensor& batch_BT, at::Tensor stream_BTM) {
      const at::Tensor x_BTM = embedded(model.config, weights, batch_BT.to(device));
      const std::int64_t length = batch_BT.size(1);
      if (!rotations.contains(length))
        rotations.emplace(length, rotation_for(model.config, x_BTM, 0, length));
      stream_BTM.copy_(x_BTM);
    });
  }
  for (std::int64_t index = 0; index < model.config.layers; ++index) {
    const Weights weights = load_layer(model, index, type, device);
    const DecoderLayer layer(model.config, weights, index);
    for_each_stream(batches_BT, streams_NM, [&](const at::Tensor& batch_BT, at::Tensor stream_BTM) {
      stream_BTM.copy_(layer(stream_BTM.to(device), rotations.at(batch_BT.size(1))));
      if (done) done(static_cast<double>(batch_BT.numel()));
    });
  }
}

}  // namespace regroup::model
