// What a converted directory says of its making: regroup.json for machines, REGROUP.md for people.
#pragma once

#include <string>

#include "convert/calibration.h"
#include "convert/execute.h"
#include "convert/plan.h"

namespace regroup::convert {

inline constexpr std::string_view kProvenanceFile = "regroup.json";
inline constexpr std::string_view kCardFile = "REGROUP.md";

// Holds no time and no machine: the same inputs give the same bytes. A source that was itself written by
// regroup has its own record inside. `tokens` is null for a merge from weights alone.
Json provenance(const family::ModelDirectory& model, const Plan& plan, const CalibrationTokens* tokens,
                const MergedLayers& layers, const Executed& executed, const Json& resolved);

std::string model_card(const family::ModelDirectory& model, const Plan& plan, const CalibrationTokens* tokens,
                       const Executed& executed);

}  // namespace regroup::convert
