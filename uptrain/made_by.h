// What decides bytes beside the options: the program, LibTorch, and the processor, by which both choose their
// kernels.
#pragma once

#include "core/base/json.h"

namespace regroup::uptrain {

Json made_by();

}  // namespace regroup::uptrain
