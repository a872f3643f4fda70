// The arithmetic that configs/uptrain/*.toml tell is the program's own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "uptrain/flops.h"
#include "uptrain/memory.h"
#include "uptrain/room.h"

namespace regroup::uptrain {
namespace {

using family::ModelConfig;

constexpr double kH100 = 0.4 * 989e12;  // FLOP/s that a run may hope for
constexpr double kGB = 1e9;

ModelConfig llama_7b(std::int64_t kv_heads, std::int64_t vocab_size) {
  ModelConfig config;
  config.vocab_size = vocab_size;
  config.hidden = 4096;
  config.layers = 32;
  config.heads = 32;
  config.kv_heads = kv_heads;
  config.head_dim = 128;
  config.ffn = 11008;
  return config;
}

// `as_phi`: with the one norm of a layer that the conversion folds both into.
ModelConfig pythia(std::int64_t kv_heads, bool as_phi) {
  ModelConfig config;
  config.vocab_size = 50304;
  config.hidden = 2048;
  config.layers = 24;
  config.heads = 16;
  config.kv_heads = kv_heads;
  config.head_dim = 128;
  config.ffn = 8192;
  config.norm = family::Norm::kLayer;
  config.shared_norm = as_phi;
  config.gated_mlp = false;
  config.activation = family::Activation::kGelu;
  return config;
}

// Matrices and the look-up of tokens: norms and biases are too few to be seen.
std::int64_t weights_of(const ModelConfig& config) {
  return family::matmul_parameters(config) + config.vocab_size * config.hidden;
}

std::int64_t attention_of(const ModelConfig& config) {
  return 2 * config.layers * config.hidden * (config.query_width() + config.kv_width());
}

struct Told {
  const char* file;
  ModelConfig student, teacher;
  bool attention_alone = false;
  std::int64_t sequence_length = 0, micro_batch = 0;
  double tokens = 0;
};

void expect_told(const Told& recipe) {
  const std::string text =
      read_text(std::filesystem::path(REGROUP_SOURCE_DIR) / "configs/uptrain" / recipe.file);
  const std::int64_t all = weights_of(recipe.student);
  const std::int64_t trained = recipe.attention_alone ? attention_of(recipe.student) : all;
  const std::int64_t frozen =
      recipe.attention_alone ? family::matmul_parameters(recipe.student) - trained : 0;
  const double flops = flops_per_token({.student = recipe.student,
                                        .teacher = &recipe.teacher,
                                        .sequence_length = recipe.sequence_length,
                                        .frozen = static_cast<double>(frozen)},
                                       loss("kl", true));
  EXPECT_CONTAINS(text, fmt::format("= {:.1f} GFLOP", flops / 1e9));
  EXPECT_CONTAINS(text, fmt::format("{:.0f} hours on one H100", flops * recipe.tokens / kH100 / 3600));

  const Counts counts{.all = all, .trained = trained, .second_moments = trained};
  const std::string precision = "bf16";
  const MemoryEstimate memory = estimate_memory({.config = recipe.student,
                                                 .weights = counts,
                                                 .teacher_parameters = weights_of(recipe.teacher),
                                                 .sequence_length = recipe.sequence_length,
                                                 .precision = precision,
                                                 .trains_down_projections = !recipe.attention_alone,
                                                 .fused = false},
                                                {.micro_batch = recipe.micro_batch});
  EXPECT_CONTAINS(text, fmt::format("{:.1f} GB for the teacher", 2 * weights_of(recipe.teacher) / kGB));
  EXPECT_CONTAINS(text, fmt::format("{:.1f} GB for activations", memory.activations / kGB));
  EXPECT_CONTAINS(text, fmt::format("= {:.0f} GB", memory.total() / kGB));

  const Room room = room_of({.weights = counts,
                             .keep = 2,
                             .saves = 1000,
                             .validates = true,
                             .result = 2.0 * static_cast<double>(all)});
  EXPECT_CONTAINS(text, fmt::format("{} states of {:.0f} GB", room.states, room.state / kGB));
  EXPECT_CONTAINS(text, fmt::format("= {:.0f} GB of disk", room.total() / kGB));
}

TEST(Configs, TellTheProgramsOwnArithmetic) {
  expect_told({.file = "llama-2-7b.toml",
               .student = llama_7b(8, 32000),
               .teacher = llama_7b(32, 32000),
               .sequence_length = 2048,
               .micro_batch = 1,
               .tokens = 1e9});
  expect_told({.file = "codellama-7b.toml",
               .student = llama_7b(8, 32016),
               .teacher = llama_7b(32, 32016),
               .attention_alone = true,
               .sequence_length = 4096,
               .micro_batch = 1,
               .tokens = 1e9});
  expect_told({.file = "pythia-1.4b.toml",
               .student = pythia(4, true),
               .teacher = pythia(16, false),
               .sequence_length = 2048,
               .micro_batch = 2,
               .tokens = 1.5e9});
}

}  // namespace
}  // namespace regroup::uptrain
