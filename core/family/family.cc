#include "core/family/family.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"

namespace regroup::family {

#include "family_registry.inc"

namespace {

std::int64_t extent(Dim dim, const ModelConfig& config) {
  switch (dim) {
    case Dim::kVocab:
      return config.vocab_size;
    case Dim::kHidden:
      return config.hidden;
    case Dim::kQueryWidth:
      return config.query_width();
    case Dim::kKvWidth:
      return config.kv_width();
    case Dim::kFfn:
      return config.ffn;
    case Dim::kAny:
      return -1;
  }
  check(false, "a Dim without an extent");
  return -1;
}

// Whether a checkpoint of this configuration may hold the tensor at all, and whether it must.
struct Demand {
  bool allowed, required;
};

Demand demand(Presence presence, const ModelConfig& config) {
  switch (presence) {
    case Presence::kAlways:
      return {true, true};
    case Presence::kWithAttentionBias:
      return {config.attention_bias, config.attention_bias};
    case Presence::kWithMlpBias:
      return {config.mlp_bias, config.mlp_bias};
    case Presence::kUntied:
      return {true, !config.tied_embeddings};
    case Presence::kOptional:
      return {true, false};
  }
  check(false, "a Presence without a demand");
  return {};
}

std::string name_in_layer(std::string_view pattern, std::int64_t layer) {
  std::string name(pattern);
  const auto at = name.find("{}");
  return at == std::string::npos ? name : name.replace(at, 2, std::to_string(layer));
}

}  // namespace

Json with_dtype(Json config, checkpoint::DType dtype) {
  const auto name = checkpoint::config_dtype_name(dtype);
  bool found = false;
  for (const char* key : {"dtype", "torch_dtype"})
    if (config.contains(key)) config[key] = name, found = true;
  if (!found) config["torch_dtype"] = name;
  return config;
}

std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelConfig& config) {
  std::vector<ExpectedTensor> expected;
  for (const TensorRule& rule : family.tensors) {
    const auto [allowed, required] = demand(rule.presence, config);
    if (!allowed) continue;
    std::vector<std::int64_t> shape;
    for (const Dim dim : rule.shape) shape.push_back(extent(dim, config));
    const std::int64_t copies = rule.per_layer() ? config.layers : 1;
    for (std::int64_t i = 0; i < copies; ++i)
      expected.push_back({.name = name_in_layer(rule.name, i),
                          .part = rule.part,
                          .layer = rule.per_layer() ? i : -1,
                          .shape = shape,
                          .required = required});
  }
  return expected;
}

std::span<const Family* const> families() {
  return kFamilies;
}

const Family& family_for(const Json& config, const std::string& where) {
  std::vector<std::string> supported, found;
  for (const Family* family : families())
    for (const std::string_view architecture : family->architectures)
      supported.push_back(fmt::format("{} ({})", architecture, family->summary));
  const auto named = config.is_object() ? config.find("architectures") : config.end();
  if (config.is_object() && named != config.end() && named->is_array())
    for (const Json& name : *named) found.push_back(name.is_string() ? name.get<std::string>() : name.dump());
  for (const Family* family : families())
    for (const std::string& name : found)
      if (std::ranges::find(family->architectures, name) != family->architectures.end()) return *family;
  throw UserError(
      {.where = where,
       .what = found.empty() ? "lacks 'architectures', a list of names" : "architecture not supported",
       .expected = list_some(supported),
       .found = list_some(found)});
}

}  // namespace regroup::family
