#include "core/model/kv_cache.h"

#include "core/base/error.h"

namespace regroup::model {

KvCache::KvCache(const family::ModelConfig& config, std::int64_t batch, std::int64_t capacity,
                 at::TensorOptions options)
    : capacity_(capacity) {
  check(batch > 0 && capacity > 0, "a cache holds at least one token of one sequence");
  const std::vector<std::int64_t> shape = {batch, config.kv_heads, capacity, config.head_dim};
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    keys_BKCD_.push_back(at::zeros(shape, options));
    values_BKCD_.push_back(at::zeros(shape, options));
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::extend(std::int64_t layer, const at::Tensor& k_BKTD,
                                                  const at::Tensor& v_BKTD) {
  const auto extended = [&](const at::Tensor& all_BKCD, const at::Tensor& new_BKTD) {
    const std::int64_t count = new_BKTD.size(2);
    all_BKCD.narrow(2, length_, count).copy_(new_BKTD.detach());
    return all_BKCD.narrow(2, 0, length_ + count);
  };
  const auto index = static_cast<std::size_t>(layer);
  return {extended(keys_BKCD_[index], k_BKTD), extended(values_BKCD_[index], v_BKTD)};
}

}  // namespace regroup::model
