// Checkpoints as the hub has them, rewritten from freshly saved ones: names without the outer model's prefix,
// buffers, other types, a tied head stored twice, shards of torch.save.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <tuple>

#include "core/base/half.h"
#include "core/family/model_directory.h"
#include "tests/support/zip_archive.h"

namespace regroup::testing {

// The tensors of a model, as they are stored.
inline FileTensors tensors_of(const family::ModelDirectory& model) {
  FileTensors tensors;
  for (const family::ModelTensor& tensor : model.tensors) {
    const auto& info = *tensor.stored.info;
    std::string bytes(info.bytes(), '\0');
    model.checkpoint.read(tensor.stored, std::as_writable_bytes(std::span(bytes)));
    tensors[info.name] = {std::string(checkpoint::dtype_name(info.dtype)), info.shape, bytes};
  }
  return tensors;
}

// Which part of which layer (and expert or head) has which bytes, but for buffers.
using Parts = std::map<std::tuple<family::Part, std::int64_t, std::int64_t>, std::string>;

inline Parts parts_of(const family::ModelDirectory& model) {
  Parts parts;
  const FileTensors tensors = tensors_of(model);
  for (const family::ModelTensor& tensor : model.tensors)
    if (tensor.part != family::Part::kUnused)
      parts[{tensor.part, tensor.layer, tensor.item}] = tensors.at(tensor.stored.info->name).bytes;
  return parts;
}

// Floats of 16 or 32 bits in another such type; other tensors as they are.
inline FileTensor as_dtype(const FileTensor& tensor, const std::string& dtype) {
  const std::size_t width = tensor.dtype == "F32" ? 4 : 2;
  if (width == 2 && tensor.dtype != "BF16" && tensor.dtype != "F16") return tensor;
  FileTensor result{dtype, tensor.shape, ""};
  for (std::size_t at = 0; at < tensor.bytes.size(); at += width) {
    float value = 0;
    std::uint16_t half = 0;
    std::memcpy(width == 4 ? static_cast<void*>(&value) : &half, tensor.bytes.data() + at, width);
    if (width == 2) value = tensor.dtype == "F16" ? half_to_float(half) : bfloat16_to_float(half);
    half = dtype == "F16" ? float_to_half(value) : float_to_bfloat16(value);
    const void* const bytes = dtype == "F32" ? static_cast<const void*>(&value) : &half;
    result.bytes.append(static_cast<const char*>(bytes), dtype == "F32" ? 4 : 2);
  }
  return result;
}

inline FileTensors as_dtype(FileTensors tensors, const std::string& dtype) {
  for (auto& [name, tensor] : tensors) tensor = as_dtype(tensor, dtype);
  return tensors;
}

// Names with the prefix that a family's may lack, and without.
inline FileTensors with_prefix(const FileTensors& tensors, const family::Family& family, bool there) {
  const std::string prefix(family.optional_prefix);
  FileTensors renamed;
  for (const auto& [name, tensor] : tensors) {
    const bool has = !prefix.empty() && name.starts_with(prefix);
    const bool outer = name.starts_with("lm_head.") || name.starts_with("embed_out.");
    if (there && !has && !outer)
      renamed[prefix + name] = tensor;
    else
      renamed[!there && has ? name.substr(prefix.size()) : name] = tensor;
  }
  return renamed;
}

// Everything that the family's files may carry and nothing reads.
inline FileTensors buffers_of(const family::ModelDirectory& model) {
  FileTensors buffers;
  for (const auto& expected : family::expected_tensors(*model.family, model.config))
    if (expected.part == family::Part::kUnused)
      buffers[expected.name] = expected.shape.empty() ? FileTensor{"BOOL", {1, 1, 2, 2}, std::string(4, '\1')}
                                                      : FileTensor{"I64", {2}, std::string(16, '\0')};
  return buffers;
}

// The head of a tied model as a tensor of its own; "" where the head is stored already or is the model's own.
inline std::string head_to_add(const family::ModelDirectory& model) {
  if (!model.config.tied_embeddings) return "";
  for (const auto& rule : model.family->tensors)
    if (rule.part == family::Part::kLmHead && model.find(family::Part::kLmHead) == nullptr)
      return std::string(rule.name);
  return "";
}

// config.json and two shards of torch.save with their index.
inline void write_sharded_torch(const std::filesystem::path& directory, const std::string& config,
                                const FileTensors& tensors) {
  std::filesystem::create_directories(directory);
  write_file(directory / "config.json", config);
  std::array<FileTensors, 2> shards;
  Json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", Json::object()}};
  for (const auto& [name, tensor] : tensors) {
    const std::size_t shard = index["weight_map"].size() % 2;
    shards[shard][name] = tensor;
    index["weight_map"][name] = "pytorch_model-0000" + std::to_string(shard + 1) + "-of-00002.bin";
  }
  for (std::size_t shard = 0; shard < shards.size(); ++shard)
    write_file(directory / ("pytorch_model-0000" + std::to_string(shard + 1) + "-of-00002.bin"),
               torch_file_bytes(shards[shard]));
  write_file(directory / "pytorch_model.bin.index.json", to_text(index));
}

}  // namespace regroup::testing
