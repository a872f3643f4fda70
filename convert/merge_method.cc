#include "convert/merge_method.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"

namespace regroup::convert {
namespace {

// [K, ...] -> [G, K/G, ...]: the second dimension runs over the members of a group.
at::Tensor grouped(const at::Tensor& heads, std::int64_t groups) {
  return heads.unflatten(0, {groups, heads.size(0) / groups});
}

// Applies `merge_one` to each of the four tensors that is there.
template <typename MergeOne>
KvHeads for_each_tensor(const KvHeads& heads, MergeOne merge_one) {
  const auto merged = [&](const at::Tensor& tensor, std::string_view which) {
    return tensor.defined() ? merge_one(tensor, which) : tensor;
  };
  return {merged(heads.k_KDM, "key"), merged(heads.v_KDM, "value"), merged(heads.k_bias_KD, "key bias"),
          merged(heads.v_bias_KD, "value bias")};
}

KvHeads merge_mean(const KvHeads& heads, const MergeContext& context) {
  return for_each_tensor(heads, [&](const at::Tensor& tensor, std::string_view) {
    return grouped(tensor, context.groups).mean(1);
  });
}

KvHeads merge_first(const KvHeads& heads, const MergeContext& context) {
  return for_each_tensor(heads, [&](const at::Tensor& tensor, std::string_view) {
    return grouped(tensor, context.groups).select(1, 0).contiguous();
  });
}

// Fresh projections as the model's own initialization draws them; fresh biases are zero.
KvHeads merge_random(const KvHeads& heads, const MergeContext& context) {
  return for_each_tensor(heads, [&](const at::Tensor& tensor, std::string_view which) {
    at::Tensor drawn = at::zeros_like(grouped(tensor, context.groups).select(1, 0), at::kFloat).contiguous();
    if (which.ends_with("bias")) return drawn;
    RandomStream stream(context.seed, fmt::format("convert/random/{}/{}", context.layer, which));
    const std::span values(drawn.mutable_data_ptr<float>(), static_cast<std::size_t>(drawn.numel()));
    for (float& value : values) value = static_cast<float>(context.initializer_range * stream.normal());
    return drawn;
  });
}

constexpr std::array kMethods = {
    MergeMethod{"mean", "the mean of a group's heads (Ainslie et al. 2023)", merge_mean},
    MergeMethod{"first", "the first head of each group (their ablation)", merge_first},
    MergeMethod{"random", "fresh random heads (their ablation: everything is left to uptraining)",
                merge_random},
};

}  // namespace

std::span<const MergeMethod> merge_methods() {
  return kMethods;
}

const MergeMethod& merge_method(std::string_view name) {
  std::vector<std::string> names;
  for (const MergeMethod& method : kMethods) {
    if (method.name == name) return method;
    names.emplace_back(method.name);
  }
  throw UserError({.where = "--method",
                   .what = "no such method",
                   .expected = "one of " + list_some(names, 20),
                   .found = fmt::format("'{}'", name)});
}

}  // namespace regroup::convert
