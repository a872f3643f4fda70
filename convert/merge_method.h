// How the key (or value) heads of one group become a single head: one row a method.
//
// Shapes: K key/value heads, G groups, D head_dim, M model width. Group g holds the contiguous heads
// [g·K/G, (g+1)·K/G), as Ainslie et al. 2023 (arXiv 2305.13245, section 2.1) groups them.
// Arithmetic is float32 whatever the storage type; the caller rounds once, when writing.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace regroup::convert {

// One layer's key and value heads in canonical form, whatever the file's layout. Biases are undefined where
// the model has none.
struct KvHeads {
  at::Tensor k_KDM, v_KDM;
  at::Tensor k_bias_KD, v_bias_KD;
};

// What a method may depend on besides the heads.
struct MergeContext {
  std::int64_t groups = 0;
  std::int64_t layer = 0;
  std::uint64_t seed = 0;
  double initializer_range = 0;  // standard deviation of a fresh projection, from config.json
};

struct MergeMethod {
  std::string_view name;     // as written in a configuration
  std::string_view summary;  // as printed by --help
  // Returns heads with G in place of K. With G = K the heads must come back as they are for every method that
  // keeps anything of them; the plan does not call a method then.
  KvHeads (*merge)(const KvHeads& heads, const MergeContext& context);
};

// Every method, in the order --help prints them. Tests loop over this table.
std::span<const MergeMethod> merge_methods();

// UserError that lists the names for an unknown one.
const MergeMethod& merge_method(std::string_view name);

}  // namespace regroup::convert
