// Whatever a config.json says, reading it ends in a model whose numbers belong together and which can be
// written with fewer key/value heads and read again, or in a UserError. Half of the mutations leave it JSON
// and change what a key says.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/family/catalogue.h"
#include "core/family/config_reader.h"
#include "core/family/describe.h"
#include "core/family/target.h"
#include "tests/fuzz/support.h"

namespace {

using namespace regroup;
using namespace regroup::family;

void require_sound(const ModelConfig& config) {
  for (const std::int64_t count : {config.vocab_size, config.hidden, config.layers, config.heads,
                                   config.kv_heads, config.head_dim, config.ffn, config.max_positions})
    fuzz::require(count > 0);
  fuzz::require(config.layers <= kMostLayers && config.heads <= kMostHeads);
  fuzz::require(config.hidden <= kMostWidth && config.query_width() <= kMostWidth);
  fuzz::require(config.ffn <= 4 * kMostWidth && config.experts.count <= kMostHeads);
  fuzz::require(matmul_parameters(config) > 0);
  fuzz::require(config.heads % config.kv_heads == 0);
  fuzz::require(config.norm_epsilon > 0 && config.attention_scale > 0);
  const auto layers = static_cast<std::size_t>(config.layers);
  fuzz::require(config.windows.empty() || config.windows.size() == layers);
  fuzz::require(config.experts.in_layer.empty() || config.experts.in_layer.size() == layers);
  fuzz::require(config.experts.chosen <= config.experts.count);
  const bool alibi = config.positions == Positions::kAlibi;
  fuzz::require(config.alibi_slopes.size() == (alibi ? static_cast<std::size_t>(config.heads) : 0));
}

void require_sound_frequencies(const ModelConfig& config) {
  if (config.positions != Positions::kRotary) return;
  fuzz::require(config.rope.dims % 2 == 0 && config.rope.dims > 0 && config.rope.dims <= config.head_dim);
  if (config.rope.dims > 4096) return;
  for (const std::int64_t length : {std::int64_t{1}, config.max_positions})
    for (const double frequency : rope_frequencies(config, length))
      fuzz::require(std::isfinite(frequency) && frequency >= 0);
}

void require_sound_tensors(const Family& family, const ModelConfig& config) {
  if (config.layers > 64) return;
  for (const ExpectedTensor& tensor : expected_tensors(family, config)) {
    fuzz::require(tensor.name.find('{') == std::string::npos);
    for (const std::int64_t extent : tensor.shape) fuzz::require(extent > 0 || tensor.part == Part::kUnused);
  }
}

// Where nothing holds that many heads, a UserError.
void write_and_read(const Family& family, const Json& json, const ModelConfig& config,
                    std::int64_t kv_heads) {
  const Target target = choose_target(family, json, config, kv_heads);
  fuzz::require(&family_for(target.config, "result") == target.family);
  const ModelConfig written = target.family->read_config(target.config, "result");
  require_sound(written);
  fuzz::require(written.kv_heads == kv_heads && written.heads == config.heads);
  fuzz::require(written.hidden == config.hidden && written.ffn == config.ffn);
}

// The value of a key, of this object or of one inside it.
Json* chosen_value(Json& object, unsigned& seed) {
  if (!object.is_object() || object.empty()) return nullptr;
  auto at = object.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(seed % object.size()));
  seed /= static_cast<unsigned>(object.size());
  Json* const inner = chosen_value(*at, seed);
  return inner != nullptr ? inner : &*at;
}

Json other_value(unsigned seed) {
  static const std::array kValues = {Json(),
                                     Json(true),
                                     Json(false),
                                     Json(-1),
                                     Json(0),
                                     Json(1),
                                     Json(2),
                                     Json(3),
                                     Json(64),
                                     Json(0.25),
                                     Json(-0.5),
                                     Json(1e-320),
                                     Json(1e308),
                                     Json(2147483647),
                                     Json(4096),
                                     Json(1'099'511'627'776),
                                     Json(10000),
                                     Json(9007199254740993),
                                     Json("gelu"),
                                     Json("linear"),
                                     Json("yarn"),
                                     Json("dynamic"),
                                     Json("longrope"),
                                     Json(""),
                                     Json::array(),
                                     Json::array({0, 1}),
                                     Json::array({1.5, 2.5}),
                                     Json::object()};
  return kValues[seed % kValues.size()];
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed) {
  Json json = Json::parse(data, data + size, nullptr, /*allow_exceptions=*/false);
  unsigned choice = seed / 2;
  Json* const value = seed % 2 == 0 ? chosen_value(json, choice) : nullptr;
  if (value == nullptr) return LLVMFuzzerMutate(data, size, most);
  *value = other_value(seed / 3);
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json json = parse_json(text, "fuzz");
    const Family& family = family_for(json, "fuzz");
    const ModelConfig config = family.read_config(json, "fuzz");
    require_sound(config);
    require_sound_frequencies(config);
    require_sound_tensors(family, config);
    merge_limits(config);
    fuzz::require(kv_bytes_per_token(config, 2) > 0);
    for (const std::int64_t kv_heads : reachable_kv_heads(config))
      write_and_read(family, json, config, kv_heads);
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 3000);
  }
  return 0;
}
