// What the arithmetic of a decoder depends on, whatever family its config.json belongs to.
//
// Counts: heads H · kv_heads K (K divides H; H/K query heads share one KV head) · head_dim D · hidden M ·
// layers L.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace regroup::family {

enum class RopeScaling { kNone, kLinear, kLlama3 };

// Rotary position embedding (Su et al. 2021), half-split pairs (j, j + D/2). Frequencies before scaling:
// theta^(-2j/D), j in [0, D/2).
struct Rope {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;                    // kLinear: frequencies are divided by it; kLlama3: the low ones are
  double low_freq_factor = 1;           // kLlama3
  double high_freq_factor = 4;          // kLlama3
  std::int64_t original_positions = 0;  // kLlama3
};

struct ModelConfig {
  std::int64_t vocab_size = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  std::int64_t max_positions = 0;
  double norm_epsilon = 0;  // RMSNorm
  Rope rope;
  bool attention_bias = false;  // q, k, v and o
  bool mlp_bias = false;        // gate, up and down
  bool tied_embeddings = false;
  double initializer_range = 0.02;

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
};

// Angular frequency of each RoPE pair after scaling, [D/2] (HF transformers modeling_rope_utils: linear,
// llama3).
std::vector<double> rope_frequencies(const ModelConfig& config);

// The same rounded to float32 at every step, in HF's order: what a model that is not run in fp64 was trained
// with. At position p a last-place difference in a frequency is p last places in an angle.
std::vector<float> rope_frequencies_float32(const ModelConfig& config);

// Matmul parameters N: every weight that multiplies an activation, the output projection included, the
// embedding look-up not. A training step costs 6N + 6·L·T·H·D FLOPs a token (H·D is M in most models), causal
// attention counted at half (Chinchilla, appendix F).
std::int64_t matmul_parameters(const ModelConfig& config);
double training_flops_per_token(const ModelConfig& config, std::int64_t sequence_length);

// Bytes of keys and values that one token leaves in the cache: 2·L·K·D·element_bytes.
std::int64_t kv_bytes_per_token(const ModelConfig& config, std::int64_t element_bytes);

// Divisors of kv_heads, descending: the group counts a conversion may choose.
std::vector<std::int64_t> reachable_kv_heads(const ModelConfig& config);

}  // namespace regroup::family
