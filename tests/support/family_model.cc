#include "tests/support/family_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/file.h"
#include "core/base/random.h"
#include "core/checkpoint/safetensors.h"
#include "core/model/device.h"
#include "core/model/stored.h"

namespace regroup::testing {
namespace {

namespace fs = std::filesystem;

using family::ModelConfig;
using family::Part;
using model::Weights;

// Heads of a projection with their bias as a column, [heads, D, M + 1].
at::Tensor heads_of(const ModelConfig& config, const Weights& weights, std::int64_t layer, Part weight,
                    Part bias) {
  const at::Tensor values = weights.at({weight, layer});
  const auto column = weights.find({bias, layer});
  const at::Tensor last =
      column == weights.end() ? at::zeros({values.size(0)}, values.options()) : column->second;
  return at::cat({values, last.unsqueeze(1)}, 1).unflatten(0, {-1, config.head_dim});
}

void put_heads(const at::Tensor& heads, std::int64_t layer, Part weight, Part bias, Weights& weights) {
  const at::Tensor rows = heads.flatten(0, 1);
  weights[{weight, layer}] = rows.narrow(1, 0, rows.size(1) - 1).contiguous();
  if (weights.contains({bias, layer})) weights[{bias, layer}] = rows.select(1, rows.size(1) - 1).contiguous();
}

at::Tensor normal(RandomStream& stream, at::IntArrayRef sizes) {
  at::Tensor values = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i) values.mutable_data_ptr<double>()[i] = stream.normal();
  return values;
}

at::Tensor stretches(RandomStream& stream, at::IntArrayRef sizes) {
  at::Tensor values = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < values.numel(); ++i)
    values.mutable_data_ptr<double>()[i] = std::pow(10, stream.uniform() - 0.5);
  return values;
}

// Invertible maps, [K, E, E].
at::Tensor maps(RandomStream& stream, std::int64_t heads, std::int64_t width) {
  const auto rotation = [&] { return std::get<0>(at::linalg_qr(normal(stream, {heads, width, width}))); };
  return at::matmul(rotation() * stretches(stream, {heads, 1, width}), rotation());
}

at::Tensor multiply_pairs(const at::Tensor& heads, const at::Tensor& factors) {
  const std::int64_t pairs = heads.size(1) / 2;
  const at::Tensor turned =
      at::complex(heads.narrow(1, 0, pairs), heads.narrow(1, pairs, pairs)) * factors.unsqueeze(2);
  return at::cat({at::real(turned), at::imag(turned)}, 1);
}

void reorder(const at::Tensor& order, std::int64_t layer, Part part, std::int64_t heads, Weights& weights) {
  const auto found = weights.find({part, layer});
  if (found == weights.end()) return;
  const at::Tensor values = found->second;
  const bool by_head = values.size(0) == heads;  // [heads, D]; else [heads · D, ...]
  const at::Tensor split = by_head ? values : values.unflatten(0, {heads, -1});
  if (!by_head && values.size(0) % heads != 0) return;
  const at::Tensor moved = split.index_select(0, order);
  found->second = (by_head ? moved : moved.flatten(0, 1)).contiguous();
}

}  // namespace

std::vector<std::string> family_goldens() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(family_golden("")))
    if (entry.is_directory()) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

fs::path family_golden(const std::string& name) {
  return fs::path("tests/goldens/families") / name;  // tests run in the root of the project
}

void write_like(const family::ModelDirectory& model, const Weights& weights, checkpoint::DType dtype,
                const fs::path& directory) {
  fs::create_directories(directory);
  const at::ScalarType type = model::scalar_type(dtype);
  std::vector<checkpoint::TensorInfo> infos;
  std::vector<at::Tensor> values;
  for (const family::ModelTensor& tensor : model.tensors) {
    if (tensor.part == Part::kUnused) continue;
    values.push_back(
        model::arranged(tensor, model.config,
                        [&](Part part) {
                          const bool tied = part == Part::kLmHead && model.config.tied_embeddings;
                          return weights.at({tied ? Part::kTokenEmbedding : part, tensor.layer}).contiguous();
                        })
            .to(type)
            .contiguous());
    infos.push_back({.name = tensor.stored.info->name,
                     .dtype = dtype,
                     .shape = values.back().sizes().vec(),
                     .begin = 0,
                     .end = values.back().nbytes()});
  }
  checkpoint::SafetensorsWriter writer(directory / "model.safetensors", infos, {{"format", "pt"}});
  for (const at::Tensor& tensor : values) writer.append(model::bytes_of(tensor));
  writer.finish();
  write_text(directory / "config.json", to_text(model.config_json));
}

void change_gauges(const ModelConfig& config, std::uint64_t seed, Weights& weights) {
  const std::int64_t turned = config.rope.dims, free = config.head_dim - turned, group = config.group();
  const auto by_query = [&](const at::Tensor& values) { return values.repeat_interleave(group, 0); };
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    RandomStream stream(seed, fmt::format("gauge/{}", layer));
    if (config.qk_norm == family::QkNorm::kNone && config.clip_qkv == 0) {
      const at::Tensor factor_KC = at::polar(stretches(stream, {config.kv_heads, turned / 2}),
                                             2 * M_PI * normal(stream, {config.kv_heads, turned / 2}));
      const at::Tensor map_KEE = maps(stream, config.kv_heads, free);
      const at::Tensor k = heads_of(config, weights, layer, Part::kKeyWeight, Part::kKeyBias),
                       q = heads_of(config, weights, layer, Part::kQueryWeight, Part::kQueryBias);
      put_heads(at::cat({multiply_pairs(k.narrow(1, 0, turned), factor_KC),
                         at::matmul(map_KEE, k.narrow(1, turned, free))},
                        1),
                layer, Part::kKeyWeight, Part::kKeyBias, weights);
      put_heads(
          at::cat({multiply_pairs(q.narrow(1, 0, turned), by_query(factor_KC.conj().reciprocal())),
                   at::matmul(by_query(at::linalg_inv(map_KEE).transpose(1, 2)), q.narrow(1, turned, free))},
                  1),
          layer, Part::kQueryWeight, Part::kQueryBias, weights);
    }
    if (config.clip_qkv > 0) continue;
    const at::Tensor map_KDD = maps(stream, config.kv_heads, config.head_dim);
    const at::Tensor v = heads_of(config, weights, layer, Part::kValueWeight, Part::kValueBias);
    put_heads(at::matmul(map_KDD, v), layer, Part::kValueWeight, Part::kValueBias, weights);
    at::Tensor& output_MF = weights.at({Part::kOutputWeight, layer});
    const at::Tensor o_HMD = output_MF.unflatten(1, {-1, config.head_dim}).transpose(0, 1);
    output_MF = at::matmul(o_HMD, by_query(at::linalg_inv(map_KDD))).transpose(0, 1).flatten(1).contiguous();
  }
}

void shuffle_heads(const ModelConfig& config, std::uint64_t seed, Weights& weights) {
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    RandomStream stream(seed, fmt::format("shuffle/{}", layer));
    std::vector<std::int64_t> order(static_cast<std::size_t>(config.kv_heads));
    std::iota(order.begin(), order.end(), 0);
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[stream.below(i + 1)]);
    const at::Tensor kv_order = at::tensor(order, at::kLong);
    const at::Tensor query_order =
        (kv_order.unsqueeze(1) * config.group() + at::arange(config.group(), at::kLong)).flatten();
    for (const Part part : {Part::kKeyWeight, Part::kKeyBias, Part::kValueWeight, Part::kValueBias})
      reorder(kv_order, layer, part, config.kv_heads, weights);
    for (const Part part : {Part::kQueryWeight, Part::kQueryBias})
      reorder(query_order, layer, part, config.heads, weights);
    if (config.qk_norm_by_head) {
      reorder(kv_order, layer, Part::kKeyNorm, config.kv_heads, weights);
      reorder(query_order, layer, Part::kQueryNorm, config.heads, weights);
    }
    at::Tensor& output_MF = weights.at({Part::kOutputWeight, layer});
    output_MF =
        output_MF.unflatten(1, {-1, config.head_dim}).index_select(1, query_order).flatten(1).contiguous();
  }
}

void equal_heads(const ModelConfig& config, std::int64_t groups, Weights& weights) {
  const std::int64_t size = config.kv_heads / groups;
  const at::Tensor first = at::arange(groups, at::kLong).repeat_interleave(size) * size;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Part part : {Part::kKeyWeight, Part::kKeyBias, Part::kValueWeight, Part::kValueBias})
      reorder(first, layer, part, config.kv_heads, weights);
    if (config.qk_norm_by_head) reorder(first, layer, Part::kKeyNorm, config.kv_heads, weights);
  }
}

}  // namespace regroup::testing
