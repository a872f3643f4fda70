// Whether a graph of llama.cpp computes what a model is.
#pragma once

#include <string>
#include <vector>

#include "export/architecture.h"

namespace regroup::exporting {

// What it does otherwise, in clauses; empty if it computes the model, but for approximations().
std::vector<std::string> differences(const Architecture& architecture, const family::ModelDirectory& model);

// What it computes nearly as the model is, in sentences: users are told.
std::vector<std::string> approximations(const Architecture& architecture, const ModelConfig& config);

// llama.cpp makes all ALiBi slopes of one number (max_alibi_bias): the one that gives the model's; 0 if none
// does.
double alibi_exponent(const ModelConfig& config);

}  // namespace regroup::exporting
