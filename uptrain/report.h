// training.html: the curves of a run on one page, without scripts or network.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/json.h"

namespace regroup::uptrain {

// From metrics.jsonl and the run's provenance.
std::string report_html(const std::filesystem::path& metrics, const Json& provenance);

}  // namespace regroup::uptrain
