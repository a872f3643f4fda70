#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/checkpoint/safetensors.h"

namespace regroup::checkpoint {
namespace {

constexpr std::size_t kHeaderAlignment = 8;

std::string json_text(const std::string& text) {
  return Json(text).dump();
}

void append_tensor(std::string& json, const TensorInfo& tensor) {
  fmt::format_to(std::back_inserter(json), R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                 json_text(tensor.name), dtype_name(tensor.dtype), fmt::join(tensor.shape, ","), tensor.begin,
                 tensor.end);
}

FileHeader lay_out(std::vector<TensorInfo> tensors, const std::map<std::string, std::string>& metadata) {
  const std::size_t header_bytes = encode_safetensors_header(tensors, metadata).size();
  return {.tensors = std::move(tensors), .metadata = metadata, .data_begin = header_bytes};
}

std::uint64_t size_of_file(const FileHeader& header) {
  return header.data_begin + (header.tensors.empty() ? 0 : header.tensors.back().end);
}

}  // namespace

std::string encode_safetensors_header(std::vector<TensorInfo>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  std::uint64_t end = 0;
  for (TensorInfo& tensor : tensors) {
    const std::uint64_t bits = static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype);
    check(bits % 8 == 0, "a tensor that does not fill its last byte");
    tensor.begin = end;
    tensor.end = end += bits / 8;
  }
  std::string json = "{";
  const auto separate = [&json] { json += json.size() > 1 ? "," : ""; };
  if (!metadata.empty()) json += "\"__metadata__\":" + nlohmann::json(metadata).dump();
  for (const TensorInfo& tensor : tensors) separate(), append_tensor(json, tensor);
  json += "}";
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');

  std::string length;
  for (std::size_t i = 0; i < 8; ++i) length += static_cast<char>(json.size() >> 8 * i & 0xFF);
  return length + json;
}

void sort_as_reference(std::vector<TensorInfo>& tensors) {
  std::ranges::sort(tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : header_(lay_out(std::move(tensors), metadata)), file_(path, size_of_file(header_)) {
  const std::string header = encode_safetensors_header(header_.tensors, metadata);
  append(std::as_bytes(std::span(header)));
}

std::string SafetensorsWriter::finish() {
  const std::string hash = file_.finish();
  FileHeader written = open_safetensors(file_.path()).header();
  std::ranges::sort(written.tensors, {}, &TensorInfo::name);
  std::ranges::sort(header_.tensors, {}, &TensorInfo::name);
  check(written == header_, "the header that was written reads differently");
  return hash;
}

}  // namespace regroup::checkpoint
