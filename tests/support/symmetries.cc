#include "tests/support/symmetries.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/random.h"

namespace regroup::testing {
namespace {

constexpr double kCondition = 10;

std::string projection(std::int64_t layer, char which) {
  return fmt::format("model.layers.{}.self_attn.{}_proj.weight", layer, which);
}

std::string bias_of(std::string weight) {
  return weight.replace(weight.rfind("weight"), 6, "bias");
}

// Applies `change` to the heads of a projection, weight and bias as one: [heads, D, M + 1] in float64.
template <typename Change>
void change_rows(NamedTensors& tensors, const std::string& name, std::int64_t head_dim, Change change) {
  at::Tensor& weight = tensors.at(name);
  const auto bias = tensors.find(bias_of(name));
  const std::int64_t width = weight.size(1);
  at::Tensor rows = weight.to(at::kDouble);
  rows = at::cat({rows, bias == tensors.end() ? at::zeros({rows.size(0), 1}, at::kDouble)
                                              : bias->second.to(at::kDouble).unsqueeze(1)},
                 1);
  rows = change(rows.unflatten(0, {-1, head_dim})).flatten(0, 1);
  weight = rows.narrow(1, 0, width).contiguous().to(weight.scalar_type());
  if (bias != tensors.end()) bias->second = rows.select(1, width).contiguous().to(bias->second.scalar_type());
}

// [M, H·D] -> [H, M, D] and back.
template <typename Change>
void change_columns(NamedTensors& tensors, const std::string& name, std::int64_t head_dim, Change change) {
  at::Tensor& weight = tensors.at(name);
  const at::Tensor heads = weight.to(at::kDouble).unflatten(1, {-1, head_dim}).transpose(0, 1);
  weight = change(heads).transpose(0, 1).flatten(1).contiguous().to(weight.scalar_type());
}

at::Tensor normal(RandomStream& stream, at::IntArrayRef sizes) {
  at::Tensor values = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i) values.mutable_data_ptr<double>()[i] = stream.normal();
  return values;
}

// Positive numbers whose largest is at most kCondition times the smallest.
at::Tensor stretches(RandomStream& stream, at::IntArrayRef sizes) {
  at::Tensor values = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i)
    values.mutable_data_ptr<double>()[i] = std::pow(kCondition, stream.uniform() - 0.5);
  return values;
}

}  // namespace

NamedTensors with_copied_heads(TinyLlama& shape, const NamedTensors& tensors, std::int64_t kv_heads) {
  NamedTensors changed = tensors;
  const std::int64_t copies = kv_heads / shape.kv_heads;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer)
    for (const char which : {'k', 'v'})
      change_rows(changed, projection(layer, which), shape.head_dim,
                  [&](const at::Tensor& heads) { return heads.repeat_interleave(copies, 0); });
  shape.kv_heads = kv_heads;
  return changed;
}

NamedTensors with_random_gauges(const TinyLlama& shape, const NamedTensors& tensors, std::uint64_t seed) {
  NamedTensors changed = tensors;
  const std::int64_t pairs = shape.head_dim / 2, group = shape.heads / shape.kv_heads;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    RandomStream stream(seed, fmt::format("gauge/{}", layer));
    const at::Tensor angle = 2 * M_PI * normal(stream, {shape.kv_heads, pairs, 1});
    const at::Tensor factor = at::polar(stretches(stream, {shape.kv_heads, pairs, 1}), angle);
    const auto turn = [&](const at::Tensor& heads, const at::Tensor& by) {
      const at::Tensor turned = at::complex(heads.narrow(1, 0, pairs), heads.narrow(1, pairs, pairs)) * by;
      return at::cat({at::real(turned), at::imag(turned)}, 1);
    };
    const at::Tensor undo = factor.conj().reciprocal().repeat_interleave(group, 0);
    change_rows(changed, projection(layer, 'k'), shape.head_dim,
                [&](const at::Tensor& heads) { return turn(heads, factor); });
    change_rows(changed, projection(layer, 'q'), shape.head_dim,
                [&](const at::Tensor& heads) { return turn(heads, undo); });

    const auto rotation = [&] {
      return std::get<0>(at::linalg_qr(normal(stream, {shape.kv_heads, shape.head_dim, shape.head_dim})));
    };
    const at::Tensor map =
        at::matmul(rotation() * stretches(stream, {shape.kv_heads, 1, shape.head_dim}), rotation());
    change_rows(changed, projection(layer, 'v'), shape.head_dim,
                [&](const at::Tensor& heads) { return at::matmul(map, heads); });
    change_columns(changed, projection(layer, 'o'), shape.head_dim, [&](const at::Tensor& heads) {
      return at::matmul(heads, at::linalg_inv(map).repeat_interleave(group, 0));
    });
  }
  return changed;
}

NamedTensors with_shuffled_heads(const TinyLlama& shape, const NamedTensors& tensors, std::uint64_t seed,
                                 std::int64_t within) {
  NamedTensors changed = tensors;
  const std::int64_t group = shape.heads / shape.kv_heads, span = within > 0 ? within : shape.kv_heads;
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    RandomStream stream(seed, fmt::format("shuffle/{}", layer));
    std::vector<std::int64_t> order(static_cast<std::size_t>(shape.kv_heads));
    std::iota(order.begin(), order.end(), 0);
    for (auto first = order.begin(); first != order.end(); first += span)
      for (std::int64_t i = span - 1; i > 0; --i)
        std::swap(first[i],
                  first[static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(i + 1)))]);
    const at::Tensor kv_order = at::tensor(order, at::kLong);
    const at::Tensor query_order = (kv_order.unsqueeze(1) * group + at::arange(group, at::kLong)).flatten();
    const auto reorder = [&](const at::Tensor& heads) {
      return heads.index_select(0, heads.size(0) == shape.kv_heads ? kv_order : query_order);
    };
    for (const char which : {'q', 'k', 'v'})
      change_rows(changed, projection(layer, which), shape.head_dim, reorder);
    change_columns(changed, projection(layer, 'o'), shape.head_dim, reorder);
  }
  return changed;
}

}  // namespace regroup::testing
