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
    case Dim::kPositions:
      return config.max_positions + config.position_offset;
    case Dim::kHidden:
      return config.hidden;
    case Dim::kHeads:
      return config.heads;
    case Dim::kKvHeads:
      return config.kv_heads;
    case Dim::kHeadDim:
      return config.head_dim;
    case Dim::kQueryWidth:
      return config.query_width();
    case Dim::kKvWidth:
      return config.kv_width();
    case Dim::kQkvWidth:
      return config.query_width() + 2 * config.kv_width();
    case Dim::kFfn:
      return config.ffn;
    case Dim::kTwoFfn:
      return 2 * config.ffn;
    case Dim::kExperts:
      return config.experts.count;
    case Dim::kExpertFfn:
      return config.experts.ffn;
    case Dim::kSharedFfn:
      return config.experts.shared_ffn;
    case Dim::kOne:
      return 1;
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

Demand demand(Presence presence, const ModelConfig& config, std::int64_t layer) {
  const auto exactly_if = [](bool condition) { return Demand{condition, condition}; };
  switch (presence) {
    case Presence::kAlways:
      return exactly_if(true);
    case Presence::kWithAttentionBias:
      return exactly_if(config.attention_bias);
    case Presence::kWithOutputBias:
      return exactly_if(config.output_bias);
    case Presence::kWithMlpBias:
      return exactly_if(config.mlp_bias);
    case Presence::kWithHeadBias:
      return exactly_if(config.head_bias);
    case Presence::kWithNormWeight:
      return exactly_if(config.norm_weight);
    case Presence::kWithNormBias:
      return exactly_if(config.norm_bias);
    case Presence::kWithOneNorm:
      return exactly_if(config.block != Block::kParallel || config.shared_norm);
    case Presence::kWithTwoNorms:
      return exactly_if(config.block == Block::kParallel && !config.shared_norm);
    case Presence::kWithSequence:
      return exactly_if(config.block == Block::kSequential);
    case Presence::kWithMlpNorm:
      return exactly_if(!config.shared_norm && config.norm_weight);
    case Presence::kWithMlpNormBias:
      return exactly_if(!config.shared_norm && config.norm_bias);
    case Presence::kWithQkNorm:
      return exactly_if(config.qk_norm != QkNorm::kNone);
    case Presence::kWithExperts:
      return exactly_if(config.has_experts(layer));
    case Presence::kWithoutExperts:
      return exactly_if(!config.has_experts(layer));
    case Presence::kUntied:
      return {true, !config.tied_embeddings};
    case Presence::kOptional:
      return {true, false};
  }
  check(false, "a Presence without a demand");
  return {};
}

// How many tensors of a rule a layer has.
std::int64_t items(const TensorRule& rule, const ModelConfig& config) {
  if (!rule.per_item()) return 1;
  if (rule.part == Part::kQueryNorm) return config.heads;
  if (rule.part == Part::kKeyNorm) return config.kv_heads;
  return config.experts.count;
}

std::string numbered(std::string name, std::int64_t number) {
  const auto at = name.find("{}");
  return at == std::string::npos ? name : name.replace(at, 2, std::to_string(number));
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

std::vector<std::int64_t> shape_of(std::span<const Dim> dims, const ModelConfig& config) {
  std::vector<std::int64_t> shape;
  for (const Dim dim : dims) shape.push_back(extent(dim, config));
  return shape;
}

std::vector<ExpectedTensor> expected_tensors(const Family& family, const ModelConfig& config) {
  std::vector<ExpectedTensor> expected;
  for (const TensorRule& rule : family.tensors) {
    const std::vector<std::int64_t> shape = shape_of(rule.shape, config);
    for (std::int64_t layer = 0; layer < (rule.per_layer() ? config.layers : 1); ++layer) {
      const auto [allowed, required] = demand(rule.presence, config, layer);
      if (!allowed) continue;
      const std::string name = numbered(std::string(rule.name), layer);
      for (std::int64_t item = 0; item < items(rule, config); ++item)
        expected.push_back({.name = numbered(name, item),
                            .part = rule.part,
                            .layer = rule.per_layer() ? layer : -1,
                            .item = rule.per_item() ? item : -1,
                            .dims = rule.shape,
                            .shape = shape,
                            .required = required,
                            .layout = rule.layout});
    }
  }
  return expected;
}

std::span<const Family* const> families() {
  return kFamilies;
}

const Family& family_named(std::string_view name) {
  const auto found = std::ranges::find(families(), name, [](const Family* family) { return family->name; });
  check(found != families().end(), "a family of that name");
  return **found;
}

namespace {

std::vector<std::string> architectures_of(const Json& config) {
  std::vector<std::string> names;
  if (const auto named = config.is_object() ? config.find("architectures") : config.end();
      config.is_object() && named != config.end() && named->is_array())
    for (const Json& name : *named) names.push_back(name.is_string() ? name.get<std::string>() : name.dump());
  return names;
}

}  // namespace

const Family* known_family(const Json& config) {
  const std::vector<std::string> names = architectures_of(config);
  for (const Family* family : families())
    for (const std::string& name : names)
      if (std::ranges::find(family->architectures, name) != family->architectures.end()) return family;
  return nullptr;
}

const Family& family_for(const Json& config, const std::string& where) {
  if (const Family* family = known_family(config)) return *family;
  std::vector<std::string> supported;
  for (const Family* family : families()) supported.emplace_back(family->architectures.front());
  const std::vector<std::string> found = architectures_of(config);
  throw UserError(
      {.where = where,
       .what = found.empty() ? "lacks 'architectures', a list of names" : "architecture not supported",
       .expected = list_some(supported, supported.size()),
       .found = list_some(found),
       .remedy = "`regroup families` says what each of them is"});
}

}  // namespace regroup::family
