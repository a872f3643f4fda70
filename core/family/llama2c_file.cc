#include "core/family/llama2c_file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/safetensors.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;
using checkpoint::DType;

constexpr double kRotaryBase = 10000;
constexpr double kTableTolerance = 1e-4;  // of tables in fp32
constexpr const char* kExport = "Export it with llama2.c's export.py --version 0";

struct Shape {
  std::int64_t hidden = 0, ffn = 0, layers = 0, heads = 0, kv_heads = 0, vocab = 0, positions = 0;
  bool tied = true;

  std::int64_t head_dim() const { return hidden / heads; }
  std::int64_t kv_width() const { return kv_heads * head_dim(); }
  std::string text() const {
    return fmt::format(
        "dim {}, hidden_dim {}, n_layers {}, n_heads {}, n_kv_heads {}, vocab_size {}, max_seq_len {}",
        hidden, ffn, layers, heads, kv_heads, tied ? vocab : -vocab, positions);
  }
};

using Header = std::array<std::int32_t, 7>;

// What stands before the tensors is not enough to tell a file of another kind from a damaged one: the kinds
// that go by the same name are looked for first.
void refuse_other_kinds(std::span<const std::byte> prefix, const std::string& where) {
  checkpoint::refuse_lfs_pointer(prefix, where);
  const std::string_view text(reinterpret_cast<const char*>(prefix.data()), prefix.size());
  if (text.starts_with("PK\x03\x04") || text.starts_with("\x80"))
    throw UserError({.where = where,
                     .what = "a file of torch.save, not of llama2.c",
                     .remedy = "Give the directory that holds it and its config.json"});
  if (!text.starts_with("24ka")) return;
  std::int32_t version = 0;
  if (text.size() >= 8) std::memcpy(&version, text.data() + 4, sizeof version);
  throw UserError({.where = where,
                   .what = fmt::format("a file of llama2.c in version {} of its format{}", version,
                                       version == 2 ? " (int8)" : ""),
                   .expected = "version 0 (the legacy one)",
                   .remedy = kExport});
}

Shape read_shape(const File& file) {
  const std::string where = file.path().string();
  std::array<std::byte, 64> prefix{};
  const std::size_t got = file.read_up_to(0, prefix);
  refuse_other_kinds(std::span(prefix).first(got), where);
  Header header{};
  if (got < sizeof header)
    throw UserError({.where = where,
                     .what = "cut off within the header of a llama2.c file",
                     .expected = fmt::format("at least {} bytes", sizeof header),
                     .found = std::to_string(got),
                     .remedy = checkpoint::kCutOff});
  std::memcpy(header.data(), prefix.data(), sizeof header);
  const std::int64_t vocab = header[5];
  return {.hidden = header[0],
          .ffn = header[1],
          .layers = header[2],
          .heads = header[3],
          .kv_heads = header[4],
          .vocab = std::abs(vocab),
          .positions = header[6],
          .tied = vocab > 0};
}

void require_sound(const Shape& shape, const std::string& where) {
  const auto refuse = [&](const char* expected) {
    throw UserError({.where = where,
                     .what = "not the header of a llama2.c file (version 0)",
                     .expected = expected,
                     .found = shape.text(),
                     .remedy = kExport});
  };
  for (const std::int64_t count :
       {shape.hidden, shape.ffn, shape.layers, shape.heads, shape.kv_heads, shape.vocab, shape.positions})
    if (count < 1) refuse("counts above 0");
  if (shape.hidden % shape.heads != 0) refuse("a dim that n_heads divides");
  if (shape.heads % shape.kv_heads != 0) refuse("as many heads as n_kv_heads divides");
  if (shape.head_dim() % 2 != 0) refuse("heads of an even width (dim / n_heads)");
}

// A run of the file: one tensor, or one of every layer in a row.
struct Run {
  std::string_view name;  // HF's; "{}" is the layer. Empty: no tensor of the model.
  std::vector<std::int64_t> shape;
  bool paired = false;
};

constexpr std::string_view kTableRun = {};

std::vector<Run> runs_of(const Shape& s) {
  const std::vector<std::int64_t> table = {s.positions, s.head_dim() / 2};
  std::vector<Run> runs = {{"model.embed_tokens.weight", {s.vocab, s.hidden}},
                           {"model.layers.{}.input_layernorm.weight", {s.hidden}},
                           {"model.layers.{}.self_attn.q_proj.weight", {s.hidden, s.hidden}, true},
                           {"model.layers.{}.self_attn.k_proj.weight", {s.kv_width(), s.hidden}, true},
                           {"model.layers.{}.self_attn.v_proj.weight", {s.kv_width(), s.hidden}},
                           {"model.layers.{}.self_attn.o_proj.weight", {s.hidden, s.hidden}},
                           {"model.layers.{}.post_attention_layernorm.weight", {s.hidden}},
                           {"model.layers.{}.mlp.gate_proj.weight", {s.ffn, s.hidden}},
                           {"model.layers.{}.mlp.down_proj.weight", {s.hidden, s.ffn}},
                           {"model.layers.{}.mlp.up_proj.weight", {s.ffn, s.hidden}},
                           {"model.norm.weight", {s.hidden}},
                           {kTableRun, table},   // cosines
                           {kTableRun, table}};  // sines
  if (!s.tied) runs.push_back({"lm_head.weight", {s.vocab, s.hidden}});
  return runs;
}

bool by_layer(const Run& run) {
  return run.name.find("{}") != run.name.npos;
}

// Of one tensor of a run; of them all.
std::optional<std::uint64_t> bytes_of(const Run& run, std::int64_t copies) {
  std::vector<std::int64_t> shape = {copies};
  shape.insert(shape.end(), run.shape.begin(), run.shape.end());
  const auto bits = checkpoint::bits_of(DType::kF32, shape);
  return bits ? std::optional(*bits / 8) : std::nullopt;
}

// Before anything is made of the header's numbers.
void require_length(const std::vector<Run>& runs, const Shape& shape, const File& file) {
  std::optional<std::uint64_t> total = sizeof(Header);
  for (const Run& run : runs) {
    const auto bytes = bytes_of(run, by_layer(run) ? shape.layers : 1);
    std::uint64_t sum = 0;
    const bool counted = total && bytes && !__builtin_add_overflow(*total, *bytes, &sum);
    total = counted ? std::optional(sum) : std::nullopt;
  }
  if (total == file.size()) return;
  throw UserError({.where = file.path().string(),
                   .what = fmt::format("not as long as a llama2.c file with its header ({})", shape.text()),
                   .expected = total ? fmt::format("{} bytes", *total) : "more bytes than can be counted",
                   .found = std::to_string(file.size()),
                   .remedy = total && *total > file.size() ? checkpoint::kCutOff : kExport});
}

// Row 1 of the cosines or sines holds the angles of one step.
void require_rotary_base(const File& file, const Shape& shape, std::uint64_t table, double (*turn)(double)) {
  if (shape.positions < 2) return;
  const std::int64_t pairs = shape.head_dim() / 2;
  std::vector<float> row(static_cast<std::size_t>(pairs));
  file.read_at(table + row.size() * sizeof(float), std::as_writable_bytes(std::span(row)));
  for (std::int64_t j = 0; j < pairs; ++j) {
    const double angle =
        std::pow(kRotaryBase, -2 * static_cast<double>(j) / static_cast<double>(shape.head_dim()));
    const float stored = row[static_cast<std::size_t>(j)];
    if (std::abs(stored - turn(angle)) <= kTableTolerance) continue;  // and a NaN is not
    throw UserError(
        {.where = file.path().string(),
         .what = fmt::format("its rotary table is of another model than llama2.c runs: pair {} of "
                             "a head, one position on",
                             j),
         .expected = fmt::format("{:.6f} (rotary base {})", turn(angle), kRotaryBase),
         .found = fmt::format("{:.6f}", stored),
         .remedy = "Take the model in the form that it was exported from"});
  }
}

checkpoint::FileHeader header_of(const std::vector<Run>& runs, const Shape& shape, const File& file) {
  checkpoint::FileHeader header{.metadata = {{"format", "pt"}}};
  std::uint64_t begin = sizeof(Header);
  constexpr std::array<double (*)(double), 2> kTurns = {std::cos, std::sin};
  std::size_t tables = 0;
  for (const Run& run : runs) {
    const std::uint64_t bytes = bytes_of(run, 1).value();
    if (run.name == kTableRun) require_rotary_base(file, shape, begin, kTurns[tables++]);
    for (std::int64_t layer = 0; layer < (by_layer(run) ? shape.layers : 1); ++layer, begin += bytes) {
      if (run.name == kTableRun) continue;
      std::string name = fmt::format(fmt::runtime(run.name), layer);
      if (run.paired) header.paired_rows.emplace(name, shape.head_dim());
      header.tensors.push_back({std::move(name), DType::kF32, run.shape, begin, begin + bytes});
    }
  }
  checkpoint::sort_as_reference(header.tensors);
  return header;
}

Json config_of(const Shape& shape) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"attention_bias", false},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"head_dim", shape.head_dim()},
          {"hidden_act", "silu"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.ffn},
          {"max_position_embeddings", shape.positions},
          {"mlp_bias", false},
          {"model_type", "llama"},
          {"num_attention_heads", shape.heads},
          {"num_hidden_layers", shape.layers},
          {"num_key_value_heads", shape.kv_heads},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", kRotaryBase},
          {"tie_word_embeddings", shape.tied},
          {"torch_dtype", "float32"},
          {"vocab_size", shape.vocab}};
}

}  // namespace

Llama2cFile open_llama2c_file(const fs::path& path) {
  File file = File::open_for_reading(path);
  const Shape shape = read_shape(file);
  require_sound(shape, path.string());
  const std::vector<Run> runs = runs_of(shape);
  require_length(runs, shape, file);
  checkpoint::FileHeader header = header_of(runs, shape, file);
  return {.config = config_of(shape), .weights = {std::move(file), std::move(header)}};
}

}  // namespace regroup::family
