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

enum class RopeScaling { kNone, kLinear, kLlama3, kDynamic, kYarn, kLongRope };

// Rotary position embedding (Su et al. 2021) of the first `dims` coordinates of a head, in half-split pairs
// (j, j + dims/2). Frequencies before scaling: theta^(-2j/dims), j in [0, dims/2). Files that keep the two
// numbers of a pair side by side are brought to this order when they are read (layout.h).
struct Rope {
  std::int64_t dims = 0;  // 0: nothing is turned
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;                     // of the stretch
  double low_freq_factor = 1;            // kLlama3
  double high_freq_factor = 4;           // kLlama3
  std::int64_t original_positions = 0;   // kLlama3, kDynamic, kYarn, kLongRope: those of pre-training
  double beta_fast = 32, beta_slow = 1;  // kYarn: turns between which it blends
  bool truncate = true;                  // kYarn: bounds of the blend are whole pairs
  double attention_factor = 1;           // kYarn, kLongRope: cosines and sines are multiplied by it
  std::vector<double> short_factors, long_factors;  // kLongRope: what each pair's frequency is divided by
};

enum class Positions { kNone, kRotary, kLearned, kAlibi };
enum class Norm { kRms, kLayer };
enum class Activation { kSilu, kGelu, kGeluTanh, kRelu, kReluSquared };

// How the two halves of a layer, attention and feed-forward, meet the residual stream x.
enum class Block {
  kSequential,  // x + attention(norm(x)), then the same with the feed-forward half
  kParallel,    // x + attention(norm(x)) + feed_forward(norm(x))
  kPostNorm,    // x + norm(attention(x)), then the same
};

// Norms of queries and keys before their positions.
enum class QkNorm {
  kNone,
  kRmsOfAll,     // RMSNorm over all heads together (OLMo-2)
  kLayerOfHead,  // LayerNorm of each head; the weight is one head's, or has a row for each
};

// Feed-forward halves made of experts, of which a router chooses a few for each token (Shazeer et al. 2017).
struct Experts {
  std::int64_t count = 0, chosen = 0, ffn = 0;  // count 0: none
  std::int64_t shared_ffn = 0;                  // of one that every token takes, behind a gate; 0: none
  bool normalized = false;                      // shares of the chosen add up to 1
  std::vector<bool> in_layer;                   // which layers have them; empty: all
};

struct ModelConfig {
  std::int64_t vocab_size = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0;
  std::int64_t max_positions = 0;

  Norm norm = Norm::kRms;
  double norm_epsilon = 0;
  bool norm_weight = true, norm_bias = false;
  bool norm_plus_one = false;  // activations are multiplied by 1 + weight
  Block block = Block::kSequential;
  bool shared_norm = false;  // kParallel: both halves read the attention norm

  Positions positions = Positions::kRotary;
  Rope rope;
  std::int64_t position_offset = 0;       // kLearned: row of the first position
  std::vector<double> alibi_slopes;       // kAlibi: [H]; scores get slope · (key position)
  bool alibi_bfloat16 = false;            // slopes and their products are rounded to bfloat16
  double alibi_scale = 1;                 // of those products
  double attention_scale = 0;             // of scores
  bool attention_scale_by_layer = false;  // scores are divided by layer + 1 too
  std::vector<std::int64_t> windows;      // tokens that each layer's attention looks back on, itself
                                          // included; 0 or an empty list: all
  double clip_qkv = 0;                    // queries, keys and values are kept within ±this; 0: not
  QkNorm qk_norm = QkNorm::kNone;
  bool qk_norm_by_head = false;  // its weights tell heads apart; else one head's serve all

  bool gated_mlp = true;  // down(act(gate(x)) · up(x)); else down(act(up(x)))
  Activation activation = Activation::kSilu;
  Experts experts;

  bool attention_bias = false;  // q, k and v
  bool output_bias = false;     // of attention
  bool mlp_bias = false;
  bool head_bias = false;
  bool tied_embeddings = false;
  bool embedding_norm = false;
  double embedding_scale = 1;
  double logit_scale = 1;
  double initializer_range = 0.02;

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
  bool has_experts(std::int64_t layer) const {
    return experts.count > 0 &&
           (experts.in_layer.empty() || experts.in_layer[static_cast<std::size_t>(layer)]);
  }
  std::int64_t window(std::int64_t layer) const {
    return windows.empty() ? 0 : windows[static_cast<std::size_t>(layer)];
  }
  // Whether heads can change places: not where positions enter them by their number.
  bool heads_can_move() const { return positions != Positions::kAlibi; }
};

// Angular frequency of each RoPE pair for a text of `length` tokens, [dims/2] (HF transformers
// modeling_rope_utils); only kDynamic and kLongRope look at the length.
std::vector<double> rope_frequencies(const ModelConfig& config, std::int64_t length);

// The same rounded to float32 at every step, in HF's order: what a model that is not run in fp64 was trained
// with. At position p a last-place difference in a frequency is p last places in an angle.
std::vector<float> rope_frequencies_float32(const ModelConfig& config, std::int64_t length);

// Slopes of ALiBi (Press et al. 2022) for `heads` heads: 2^(-8i/n), i from 1, n the largest power of two
// among counts of heads; those that are left lie between.
std::vector<double> alibi_slopes(std::int64_t heads);

// Matmul parameters N: every weight that multiplies a token's activation, the output projection and the
// chosen experts included, look-ups not. A training step costs 6N + 6·L·T·H·D FLOPs a token (H·D is M in most
// models), causal attention counted at half (Chinchilla, appendix F).
std::int64_t matmul_parameters(const ModelConfig& config);
double training_flops_per_token(const ModelConfig& config, std::int64_t sequence_length);

// Bytes of keys and values that one token leaves in the cache: 2·L·K·D·element_bytes.
std::int64_t kv_bytes_per_token(const ModelConfig& config, std::int64_t element_bytes);

// Divisors of kv_heads, descending: the group counts a conversion may choose.
std::vector<std::int64_t> reachable_kv_heads(const ModelConfig& config);

}  // namespace regroup::family
