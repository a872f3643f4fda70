// Rotary positions as HF's config.json has them, old spellings and new.
#pragma once

#include <optional>

#include "core/family/config_reader.h"
#include "core/family/model_config.h"

namespace regroup::family {

// Rotary positions of heads `head_dim` wide: from `rope_scaling` (older files; it wins) or `rope_parameters`;
// theta and the share of a head that is turned may stand in them or beside them. UserErrors for scalings that
// are not known, for numbers that make none, and for a share where the family's class turns whole heads
// without looking.
struct RopeDefaults {
  double theta = 10000;
  std::optional<double> share = {};  // none: whole heads, always
};
Rope read_rope(const ConfigReader& config, std::int64_t head_dim, std::int64_t max_positions,
               const RopeDefaults& defaults = {});

}  // namespace regroup::family
