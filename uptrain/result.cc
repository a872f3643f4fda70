#include "uptrain/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/carry.h"
#include "core/checkpoint/sharding.h"
#include "core/family/layout.h"
#include "core/model/companions.h"
#include "core/model/device.h"
#include "core/model/stored.h"

namespace regroup::uptrain {
namespace {

using checkpoint::DType;
using family::ModelTensor;
using family::Part;
using model::scalar_type;

// Files of a source that was trained here before: its own, not this model's.
constexpr std::string_view kRecord = "training_record.json", kCurves = "training.html";

// The weight that plays a part, null for a buffer. A tied head that is stored all the same is the embedding.
const Slot* slot_of(const Parameters& parameters, Part part, std::int64_t layer) {
  const auto find = [&](Part sought) {
    const auto slot = std::ranges::find(parameters.slots(), model::WeightKey{sought, layer}, &Slot::key);
    return slot == parameters.slots().end() ? nullptr : &*slot;
  };
  const Slot* slot = find(part);
  return slot == nullptr && part == Part::kLmHead ? find(Part::kTokenEmbedding) : slot;
}

std::vector<std::byte> stored_bytes(const family::ModelDirectory& model, const ModelTensor& tensor) {
  std::vector<std::byte> bytes(tensor.stored.info->bytes());
  model.checkpoint.read(tensor.stored, bytes);
  return bytes;
}

class TensorSource {
 public:
  TensorSource(const family::ModelDirectory& model, const Parameters& parameters, std::optional<DType> dtype)
      : model_(model), parameters_(parameters), dtype_(dtype) {}

  checkpoint::TensorInfo info(const ModelTensor& tensor) const {
    checkpoint::TensorInfo info = *tensor.stored.info;
    if (dtype_ && is_trained(tensor)) info.dtype = *dtype_;
    return info;
  }

  void append(const ModelTensor& tensor, checkpoint::SafetensorsWriter& writer) const {
    if (!is_trained(tensor)) {
      writer.append(stored_bytes(model_, tensor));
      return;
    }
    const at::Tensor values = model::arranged(tensor, model_.config, [&](Part part) {
      return parameters_.master(*slot_of(parameters_, part, tensor.layer))
          .cpu()
          .to(scalar_type(info(tensor).dtype))
          .contiguous();
    });
    if (!checkpoint::all_finite(model::bytes_of(values), info(tensor).dtype))
      throw UserError({.where = tensor.stored.info->name,
                       .what = fmt::format("does not fit in {}", checkpoint::dtype_name(info(tensor).dtype)),
                       .remedy = "Give --dtype fp32 or bf16"});
    writer.append(model::bytes_of(values));
  }

 private:
  bool is_trained(const ModelTensor& tensor) const {
    return slot_of(parameters_, tensor.part, tensor.layer) != nullptr;
  }

  const family::ModelDirectory& model_;
  const Parameters& parameters_;
  std::optional<DType> dtype_;
};

void write_weights(const std::filesystem::path& directory, const family::ModelDirectory& model,
                   const TensorSource& source) {
  std::vector<checkpoint::Shard> shards;
  for (std::size_t file = 0; file < model.checkpoint.files().size(); ++file) {
    std::vector<const ModelTensor*> tensors;
    for (const ModelTensor& tensor : model.tensors)
      if (tensor.stored.file == file) tensors.push_back(&tensor);
    checkpoint::Shard shard{.file_name = model.checkpoint.safetensors_name(file), .tensors = {}};
    for (const ModelTensor* tensor : tensors) shard.tensors.push_back(source.info(*tensor));
    checkpoint::SafetensorsWriter writer(directory / shard.file_name, shard.tensors,
                                         model.checkpoint.files()[file].header().metadata);
    for (const ModelTensor* tensor : tensors) source.append(*tensor, writer);
    writer.finish();
    shards.push_back(std::move(shard));
  }
  if (model.checkpoint.sharded())
    write_text(directory / checkpoint::kIndexFile, checkpoint::index_text(shards));
}

// The source's record is not this model's: it is kept as what it is, beside what was added.
Json training_record(const std::filesystem::path& source, std::int64_t tokens) {
  Json record;
  const Json old = std::filesystem::exists(source) ? read_json(source) : Json::object();
  if (old.is_object() && old.contains("pretraining_tokens"))
    record["pretraining_tokens"] = old["pretraining_tokens"];
  const std::int64_t before = old.is_object() ? old.value("uptraining_tokens", std::int64_t{0}) : 0;
  record["uptraining_tokens"] = before + tokens;
  if (!old.empty()) record["source_record"] = old;
  return record;
}

// What stands for all that a layer has many of: "…experts.3.up_proj.weight" -> "…experts.*.up_proj.weight".
std::string stack_name(std::string name, std::int64_t item) {
  const std::string number = fmt::format(".{}.", item);
  if (const std::size_t at = name.rfind(number); at != name.npos) name.replace(at, number.size(), ".*.");
  return name;
}

}  // namespace

WeightNames weight_names(const family::ModelDirectory& model, const model::Weights& weights) {
  WeightNames names;
  for (const ModelTensor& tensor : model.tensors)
    for (const family::PartRows& held : family::parts_in(tensor.layout, tensor.part, model.config)) {
      const model::WeightKey key{held.part, tensor.layer};
      if (!weights.contains(key)) continue;
      names[key] =
          tensor.item < 0 ? tensor.stored.info->name : stack_name(tensor.stored.info->name, tensor.item);
      if (!held.identity) names[key] += fmt::format(" ({})", static_cast<int>(held.part));
    }
  check(names.size() == weights.size(), "every weight has a name in the model's files");
  return names;
}

std::optional<DType> result_dtype(const std::string& dtype) {
  if (dtype.empty()) return std::nullopt;
  if (dtype == "fp32") return DType::kF32;
  if (dtype == "bf16") return DType::kBF16;
  if (dtype == "fp16") return DType::kF16;
  throw UserError({.where = "--dtype", .expected = "fp32, bf16 or fp16", .found = dtype});
}

double result_bytes(const family::ModelDirectory& model, std::optional<DType> dtype) {
  double bytes = 0;
  for (const ModelTensor& tensor : model.tensors) {
    checkpoint::TensorInfo info = *tensor.stored.info;
    if (dtype) info.dtype = *dtype;
    bytes += static_cast<double>(info.bytes());
  }
  return bytes;
}

void write_result(const std::filesystem::path& directory, const family::ModelDirectory& model,
                  const Parameters& parameters, std::optional<DType> dtype, std::int64_t tokens) {
  write_weights(directory, model, TensorSource(model, parameters, dtype));
  for (const auto& [from, name] : model::companions(model))
    if (name != kRecord && name != kCurves) checkpoint::copy_file_synced(from, directory / name);
  write_text(directory / kRecord, to_text(training_record(model.path / kRecord, tokens)));
  write_text(directory / "config.json",
             to_text(dtype ? family::with_dtype(model.config_json, *dtype) : model.config_json));
}

}  // namespace regroup::uptrain
