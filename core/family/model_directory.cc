#include "core/family/model_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/model_file.h"
#include "core/family/llama2c_file.h"

namespace regroup::family {
namespace {

namespace fs = std::filesystem;

// The text of config.json.
std::string open_config(const fs::path& directory) {
  const auto refuse = [&](std::string what, std::string remedy) {
    throw UserError({.where = directory.string(), .what = std::move(what), .remedy = std::move(remedy)});
  };
  const std::string give = "Give the directory that holds config.json and the weights";
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (status.type() == fs::file_type::not_found) refuse("there is no such directory", give);
  if (error) refuse("cannot be opened: " + error.message(), give);
  if (!fs::is_directory(status))
    refuse("not a directory", give + ", or a file of llama2.c, whose name ends in .bin");
  if (fs::exists(directory / "adapter_config.json", error))
    refuse("an adapter (adapter_config.json), not a whole model",
           "Merge the adapter into its base model first");
  const fs::path file = directory / "config.json";
  if (!fs::exists(file, error))
    refuse(error                         ? "cannot be read: " + error.message()
           : fs::is_symlink(file, error) ? "config.json is a link to a file that is not there"
                                         : "no config.json",
           give);
  return read_text(file);
}

Json value_of(const Json& config, const char* key) {
  return config.is_object() && config.contains(key) ? config[key] : Json();
}

void refuse_quantized(const Json& config, const std::string& where) {
  const Json quantization = value_of(config, "quantization_config");
  if (quantization.is_null()) return;
  const bool named = quantization.is_object() && quantization.contains("quant_method");
  throw UserError({.where = where,
                   .what = "quantized weights (quantization_config) are not supported",
                   .found = named ? quantization["quant_method"].dump() : "",
                   .remedy = "Take the checkpoint that it was made from, in fp32, fp16 or bf16"});
}

// Models that were published before the libraries had a class for them name code of their own. It is never
// run: an architecture that is known is what the libraries' class makes of config.json and tensors, and what
// is written of it no longer asks for that code.
void leave_out_other_code(const std::string& where, ModelDirectory& model) {
  if (value_of(model.config_json, "auto_map").is_null()) return;
  const Family* family = known_family(model.config_json);
  if (!family)
    throw UserError(
        {.where = where,
         .what = "the model needs code of its own (auto_map), which is never run",
         .remedy = "Remove 'auto_map' if the architecture named in 'architectures' is all it needs"});
  log_info(fmt::format("{}: code of its own (auto_map) is not run: read as {}", where, family->name));
  model.config_json.erase("auto_map");
  model.config_text = to_text(model.config_json);
}

void open_directory(const fs::path& path, ModelDirectory& model) {
  const std::string where = (path / "config.json").string();
  model.config_text = open_config(path);
  model.config_json = parse_json(model.config_text, where);
  refuse_quantized(model.config_json, where);
  leave_out_other_code(where, model);
  model.family = &family_for(model.config_json, where);
  model.config = model.family->read_config(model.config_json, where);
  model.checkpoint = checkpoint::Checkpoint::open(path);
}

void open_file(const fs::path& path, ModelDirectory& model) {
  Llama2cFile file = open_llama2c_file(path);
  model.config_text = to_text(file.config);
  model.config_json = std::move(file.config);
  model.family = &family_for(model.config_json, path.string());
  model.config = model.family->read_config(model.config_json, path.string());
  model.checkpoint = checkpoint::Checkpoint::of_file(std::move(file.weights));
}

// How many tensors a configuration could ask for, told without making their names.
std::int64_t most_tensors(const Family& family, const ModelConfig& config) {
  std::int64_t total = 0;
  for (const TensorRule& rule : family.tensors)
    total += (rule.per_layer() ? config.layers : 1) *
             (rule.per_item() ? std::max(config.heads, config.experts.count) : 1);
  return total;
}

// Layers times experts, or times heads, each of them possible by itself: the names alone would take a
// machine's memory.
void refuse_countless_tensors(const ModelDirectory& model) {
  constexpr std::int64_t kMost = 1'000'000;
  const ModelConfig& c = model.config;
  if (most_tensors(*model.family, c) <= kMost) return;
  throw UserError({.where = model.path.string(),
                   .what = fmt::format("config.json says {} layers, {} heads and {} experts", c.layers,
                                       c.heads, c.experts.count),
                   .expected = fmt::format("a model of at most {} tensors", kMost),
                   .found = std::to_string(most_tensors(*model.family, c))});
}

bool fits(std::span<const std::int64_t> shape, const ExpectedTensor& expected) {
  const bool any = expected.part == Part::kUnused && expected.shape.empty();
  return any || std::ranges::equal(shape, expected.shape, [](std::int64_t is, std::int64_t should) {
           return should == -1 || is == should;
         });
}

// Everything that is wrong between a checkpoint and what its configuration asks for.
class Audit {
 public:
  explicit Audit(const std::vector<ExpectedTensor>& expected) {
    for (const ExpectedTensor& tensor : expected) expected_.emplace(tensor.name, &tensor);
  }

  ModelTensor claim(const checkpoint::StoredTensor& stored) {
    const checkpoint::TensorInfo& info = *stored.info;
    const auto found = expected_.find(info.name);
    if (found == expected_.end()) {
      unclaimed_.push_back(info.name);
      return {stored};
    }
    const ExpectedTensor& expected = *found->second;
    expected_.erase(found);
    if (!fits(info.shape, expected))
      misshaped_.push_back(fmt::format("'{}' is {}, config.json makes it {}", info.name,
                                       checkpoint::shape_text(info.shape),
                                       checkpoint::shape_text(expected.shape)));
    if (expected.part != Part::kUnused && !checkpoint::is_plain_float(info.dtype))
      mistyped_.push_back(fmt::format("'{}' is {}", info.name, checkpoint::dtype_name(info.dtype)));
    return {stored, expected.part, expected.layer, expected.item, expected.dims, expected.layout};
  }

  // `order`: in which the missing ones are listed.
  void finish(const std::vector<ExpectedTensor>& order, const ModelDirectory& model) const {
    std::vector<std::string> missing;
    for (const ExpectedTensor& tensor : order)
      if (tensor.required && expected_.contains(tensor.name)) missing.push_back(tensor.name);
    std::string report;
    const auto add = [&](const char* title, std::span<const std::string> items, std::size_t most) {
      if (!items.empty()) report += fmt::format("\n  {} {}: {}", items.size(), title, list_some(items, most));
    };
    add("missing", missing, 6);
    add("not of this model", unclaimed_, 6);
    add("of another shape", misshaped_, 3);
    add("in a type that is not FP64, FP32, FP16 or BF16", mistyped_, 6);
    if (report.empty()) return;
    const ModelConfig& c = model.config;
    throw UserError(
        {.where = model.path.string(),
         .what = fmt::format(
             "config.json and the weights do not belong together; tensors{}\n  config.json says {} "
             "layers, hidden size {}, {} heads and {} key/value heads of {}, mlp {}, vocabulary {}",
             report, c.layers, c.hidden, c.heads, c.kv_heads, c.head_dim, c.ffn, c.vocab_size),
         .remedy = "Take both from the same model"});
  }

 private:
  std::unordered_map<std::string_view, const ExpectedTensor*> expected_;
  std::vector<std::string> unclaimed_, misshaped_, mistyped_;
};

// Files saved from the inner model lack the prefix that the outer one gives its names.
void drop_unused_prefix(std::string_view prefix, const checkpoint::Checkpoint& checkpoint,
                        std::vector<ExpectedTensor>& expected) {
  if (prefix.empty()) return;
  for (const auto& file : checkpoint.files())
    for (const auto& info : file.header().tensors)
      if (info.name.starts_with(prefix)) return;
  for (ExpectedTensor& tensor : expected)
    if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
}

}  // namespace

bool holds(const ModelTensor& tensor, Part part) {
  if (tensor.part == part) return true;
  switch (tensor.layout.fusion) {
    case Fusion::kNone:
      return false;
    case Fusion::kQueryKeyValue:
    case Fusion::kGroups:
    case Fusion::kCodeGen:
      return tensor.part == Part::kQueryWeight ? part == Part::kKeyWeight || part == Part::kValueWeight
                                               : part == Part::kKeyBias || part == Part::kValueBias;
    case Fusion::kGateUp:
      return part == (tensor.part == Part::kGateWeight ? Part::kUpWeight : Part::kUpBias);
  }
  return false;
}

const ModelTensor* ModelDirectory::find(Part part, std::int64_t layer) const {
  const auto found = std::ranges::find_if(
      tensors, [&](const ModelTensor& tensor) { return tensor.layer == layer && holds(tensor, part); });
  return found == tensors.end() ? nullptr : &*found;
}

std::int64_t ModelDirectory::parameters() const {
  std::int64_t total = 0;
  for (const ModelTensor& tensor : tensors) {
    const bool copy = tensor.part == Part::kLmHead && config.tied_embeddings;
    if (tensor.part != Part::kUnused && !copy) total += tensor.stored.info->elements();
  }
  return total;
}

checkpoint::DType ModelDirectory::dtype() const {
  std::map<checkpoint::DType, std::int64_t> elements;
  for (const ModelTensor& tensor : tensors)
    if (tensor.part != Part::kUnused) elements[tensor.stored.info->dtype] += tensor.stored.info->elements();
  check(!elements.empty(), "a model holds at least one weight");
  return std::ranges::max_element(elements, {}, [](const auto& entry) { return entry.second; })->first;
}

ModelDirectory open_model(const fs::path& path) {
  ModelDirectory model;
  model.path = path;
  if (is_model_file(path))
    open_file(path, model);
  else
    open_directory(path, model);
  refuse_countless_tensors(model);

  std::vector<ExpectedTensor> expected = expected_tensors(*model.family, model.config);
  drop_unused_prefix(model.family->optional_prefix, model.checkpoint, expected);
  Audit audit(expected);
  for (std::size_t file = 0; file < model.checkpoint.files().size(); ++file)
    for (const auto& info : model.checkpoint.files()[file].header().tensors)
      model.tensors.push_back(audit.claim({&info, file}));
  audit.finish(expected, model);
  return model;
}

}  // namespace regroup::family
