#include "core/family/layout.h"

#include <array>
#include <numeric>

#include "core/base/error.h"

namespace regroup::family {
namespace {

using Rows = std::vector<std::int64_t>;

struct Projections {
  Part query, key, value;
};

Projections projections_of(Part part) {
  if (part == Part::kQueryWeight) return {Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight};
  check(part == Part::kQueryBias, "a fused projection is named by its query part");
  return {Part::kQueryBias, Part::kKeyBias, Part::kValueBias};
}

void append(Rows& rows, std::int64_t first, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(first + i);
}

std::vector<PartRows> in_order(Part part, const ModelConfig& config) {
  const auto [query, key, value] = projections_of(part);
  Rows q, k, v;
  append(q, 0, config.query_width());
  append(k, config.query_width(), config.kv_width());
  append(v, config.query_width() + config.kv_width(), config.kv_width());
  return {{query, q}, {key, k}, {value, v}};
}

std::vector<PartRows> by_groups(Part part, const ModelConfig& config) {
  const auto [query, key, value] = projections_of(part);
  const std::int64_t queries = config.group() * config.head_dim, dim = config.head_dim;
  Rows q, k, v;
  for (std::int64_t head = 0; head < config.kv_heads; ++head) {
    const std::int64_t first = head * (queries + 2 * dim);
    append(q, first, queries);
    append(k, first + queries, dim);
    append(v, first + queries + dim, dim);
  }
  return {{query, q}, {key, k}, {value, v}};
}

std::vector<PartRows> by_codegen_blocks(Part part, const ModelConfig& config) {
  constexpr std::int64_t kBlocks = 4;  // as many as the model was once trained on chips
  const auto [query, key, value] = projections_of(part);
  check(config.kv_heads == config.heads, "CodeGen's blocks hold as many keys as queries");
  const std::int64_t share = config.query_width() / kBlocks;
  Rows q, k, v;
  for (std::int64_t block = 0; block < kBlocks; ++block) {
    append(q, 3 * share * block, share);
    append(v, 3 * share * block + share, share);
    append(k, 3 * share * block + 2 * share, share);
  }
  return {{query, q}, {key, k}, {value, v}};
}

bool is_turned(Part part) {
  switch (part) {
    case Part::kQueryWeight:
    case Part::kQueryBias:
    case Part::kKeyWeight:
    case Part::kKeyBias:
    case Part::kQueryNorm:
    case Part::kKeyNorm:
      return true;
    default:
      return false;
  }
}

// Row j of a head's turned coordinates, half-split, is row 2j or 2j - (dims - 1) of interleaved ones.
void split_pairs(Rows& rows, const ModelConfig& config) {
  const Rows stored = rows;
  const std::int64_t pairs = config.rope.dims / 2;
  for (std::size_t head = 0; head < rows.size(); head += static_cast<std::size_t>(config.head_dim))
    for (std::int64_t j = 0; j < pairs; ++j) {
      rows[head + static_cast<std::size_t>(j)] = stored[head + static_cast<std::size_t>(2 * j)];
      rows[head + static_cast<std::size_t>(j + pairs)] = stored[head + static_cast<std::size_t>(2 * j + 1)];
    }
}

std::vector<PartRows> fused(Fusion fusion, Part part, const ModelConfig& config) {
  switch (fusion) {
    case Fusion::kNone:
      return {{.part = part, .rows = {}, .identity = true}};
    case Fusion::kQueryKeyValue:
      return in_order(part, config);
    case Fusion::kGroups:
      return by_groups(part, config);
    case Fusion::kCodeGen:
      return by_codegen_blocks(part, config);
    case Fusion::kGateUp: {
      check(part == Part::kGateWeight || part == Part::kGateBias, "a fused gate is named by its gate part");
      Rows gate, up;
      append(gate, 0, config.ffn);
      append(up, config.ffn, config.ffn);
      return {{part, gate}, {part == Part::kGateWeight ? Part::kUpWeight : Part::kUpBias, up}};
    }
  }
  check(false, "a Fusion without rows");
  return {};
}

}  // namespace

std::vector<PartRows> parts_in(const Layout& layout, Part part, const ModelConfig& config) {
  std::vector<PartRows> parts = fused(layout.fusion, part, config);
  if (!layout.interleaved) return parts;
  for (PartRows& held : parts) {
    if (!is_turned(held.part)) continue;
    if (held.identity) {
      const bool query =
          held.part == Part::kQueryWeight || held.part == Part::kQueryBias || held.part == Part::kQueryNorm;
      append(held.rows, 0, query ? config.query_width() : config.kv_width());
      held.identity = false;
    }
    split_pairs(held.rows, config);
  }
  return parts;
}

}  // namespace regroup::family
