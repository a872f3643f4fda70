#include "export/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/base/error.h"
#include "export/graph_check.h"

namespace regroup::exporting {
namespace {

using family::Activation;
using family::Norm;
using family::Positions;
using family::QkNorm;

constexpr std::array kQkvBias = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias};
constexpr std::array kQkNorm = {Part::kQueryNorm, Part::kKeyNorm};
constexpr std::array kQkvBiasAndQkNorm = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias,
                                          Part::kQueryNorm, Part::kKeyNorm};
constexpr std::array kLlamaTakes = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias, Part::kOutputBias,
                                    Part::kGateBias,  Part::kUpBias,  Part::kDownBias};
constexpr std::array kQwen2Takes = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias, Part::kLmHeadBias};
// Of every matrix and of every norm.
constexpr std::array kAllBiases = {
    Part::kQueryBias, Part::kKeyBias,     Part::kValueBias,         Part::kOutputBias,   Part::kUpBias,
    Part::kDownBias,  Part::kMlpNormBias, Part::kAttentionNormBias, Part::kFinalNormBias};
constexpr std::array kPhi2Needs = {Part::kOutputBias,        Part::kUpBias,        Part::kDownBias,
                                   Part::kAttentionNormBias, Part::kFinalNormBias, Part::kLmHeadBias};
// llama.cpp takes StableLM's blocks for parallel ones where this norm is missing.
constexpr std::array kStableLmNeeds = {Part::kAttentionNormBias, Part::kFinalNormBias};
constexpr std::array kStableLmTakes = {Part::kQueryBias, Part::kKeyBias, Part::kValueBias,
                                       Part::kQueryNorm, Part::kKeyNorm, Part::kMlpNormBias};
constexpr std::array kStarcoder2Needs = {Part::kOutputBias,        Part::kUpBias,
                                         Part::kDownBias,          Part::kMlpNormBias,
                                         Part::kAttentionNormBias, Part::kFinalNormBias};

template <std::size_t count>
using Names = std::array<std::string_view, count>;
constexpr Names<1> kLlama = {"llama"}, kQwen2 = {"qwen2"}, kPhi3 = {"phi3"}, kStableLm = {"stablelm"},
                   kGemma = {"gemma"}, kOlmo = {"olmo"}, kOlmo2 = {"olmo2"}, kCohere = {"cohere"},
                   kGpt2 = {"gpt2"}, kGptBigCode = {"gpt_bigcode"}, kGptNeoX = {"gpt_neox"},
                   kBloom = {"bloom"}, kMpt = {"mpt"}, kStarcoder2 = {"starcoder2"};
constexpr Names<3> kPhi = {"phi", "gptj", "codegen"};

constexpr std::array kArchitectures = {
    Architecture{.name = "llama",
                 .families = kLlama,
                 .pairs_side_by_side = true,
                 .frequency_factors = true,
                 .any_query_width = true,
                 .takes = kLlamaTakes},
    Architecture{.name = "qwen2", .families = kQwen2, .takes = kQwen2Takes},
    Architecture{.name = "phi2",
                 .families = kPhi,
                 .norm = Norm::kLayer,
                 .blocks = blocks::kParallelSharedNorm,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .head = Head::kOwn,
                 .partial_rotary = true,
                 .takes = kQkvBias,
                 .needs = kPhi2Needs},
    Architecture{.name = "phi3",
                 .families = kPhi3,
                 .partial_rotary = true,
                 .frequency_factors = true,
                 .fused_qkv = true,
                 .fused_gate_up = true},
    Architecture{.name = "stablelm",
                 .families = kStableLm,
                 .norm = Norm::kLayer,
                 .blocks = blocks::kSequential | blocks::kParallelSharedNorm,
                 .head = Head::kOwn,
                 .partial_rotary = true,
                 .qk_norm = QkNorm::kLayerOfHead,
                 .takes = kStableLmTakes,
                 .needs = kStableLmNeeds},
    Architecture{.name = "gemma",
                 .families = kGemma,
                 .activation = Activation::kGeluTanh,
                 .head = Head::kTied,
                 .any_query_width = true,
                 .embedding_times_root = true,
                 .takes = kQkvBias},
    Architecture{.name = "olmo",
                 .families = kOlmo,
                 .norm = Norm::kLayer,
                 .pairs_side_by_side = true,
                 .clips = true,
                 .takes = kQkvBias},
    Architecture{.name = "olmo2",
                 .families = kOlmo2,
                 .blocks = blocks::kPostNorm,
                 .head = Head::kOwn,
                 .qk_norm = QkNorm::kRmsOfAll,
                 .takes = kQkNorm},
    Architecture{.name = "command-r",
                 .families = kCohere,
                 .norm = Norm::kLayer,
                 .blocks = blocks::kParallelSharedNorm,
                 .head = Head::kTied,
                 .pairs_side_by_side = true,
                 .partial_rotary = true,
                 .scales_logits = true,
                 .qk_norm = QkNorm::kLayerOfHead,
                 .qk_norm_layers = 64,
                 .takes = kQkvBiasAndQkNorm},
    Architecture{.name = "gpt2",
                 .families = kGpt2,
                 .norm = Norm::kLayer,
                 .positions = Positions::kLearned,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .fused_qkv = true,
                 .needs = kAllBiases},
    Architecture{.name = "starcoder",
                 .families = kGptBigCode,
                 .norm = Norm::kLayer,
                 .positions = Positions::kLearned,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .fused_qkv = true,
                 .needs = kAllBiases},
    Architecture{.name = "gptneox",
                 .families = kGptNeoX,
                 .norm = Norm::kLayer,
                 .blocks = blocks::kSequential | blocks::kParallel,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .head = Head::kOwn,
                 .partial_rotary = true,
                 .fused_qkv = true,
                 .needs = kAllBiases},
    Architecture{.name = "bloom",
                 .families = kBloom,
                 .norm = Norm::kLayer,
                 .positions = Positions::kAlibi,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .fused_qkv = true,
                 .needs = kAllBiases},
    Architecture{.name = "mpt",
                 .families = kMpt,
                 .norm = Norm::kLayer,
                 .positions = Positions::kAlibi,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .clips = true,
                 .fused_qkv = true,
                 .takes = kAllBiases},
    Architecture{.name = "starcoder2",
                 .families = kStarcoder2,
                 .norm = Norm::kLayer,
                 .gated_mlp = false,
                 .activation = Activation::kGeluTanh,
                 .takes = kQkvBias,
                 .needs = kStarcoder2Needs},
};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const Architecture& architecture_for(const family::ModelDirectory& model) {
  const std::string_view family = model.family->name;
  const auto row = std::ranges::find_if(kArchitectures, [&](const Architecture& architecture) {
    return std::ranges::find(architecture.families, family) != architecture.families.end();
  });
  if (row == kArchitectures.end()) {
    std::vector<std::string> supported;
    for (const Architecture& architecture : kArchitectures)
      supported.insert(supported.end(), architecture.families.begin(), architecture.families.end());
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("regroup does not write the {} family as GGUF", family),
                     .expected = "a model of one of the families " + list_some(supported, 20),
                     .remedy = "llama.cpp's own converter may"});
  }
  if (const auto all = differences(*row, model); !all.empty())
    throw UserError({.where = model.path.string(),
                     .what = fmt::format("llama.cpp's graph '{}' does not compute this model: {}", row->name,
                                         list_some(all, 4))});
  return *row;
}

}  // namespace regroup::exporting
