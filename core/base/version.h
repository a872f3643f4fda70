// What this build is and what machine it runs on.
#pragma once

#include <string>

namespace regroup {

std::string version();       // "0.1.0"
std::string commit();        // short hash of the sources, "-dirty" when they were changed, or "unknown"
std::string cpu_name();      // as the kernel names it
std::string cpu_features();  // those that decide speed here, such as "avx512f avx512_bf16 amx_bf16"

}  // namespace regroup
