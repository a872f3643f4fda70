#include "uptrain/made_by.h"

#include <torch/version.h>

#include "core/base/version.h"

namespace regroup::uptrain {

Json made_by() {
  return {{"version", version()},
          {"commit", commit()},
          {"libtorch", TORCH_VERSION},
          {"cpu", cpu_name()},
          {"cpu_features", cpu_features()}};
}

}  // namespace regroup::uptrain
