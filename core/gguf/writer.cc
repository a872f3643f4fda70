#include "core/gguf/writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup::gguf {
namespace {

std::uint64_t data_bytes(std::span<const TensorInfo> tensors) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : tensors) bytes += tensor.bytes() + padding(tensor.bytes());
  return bytes;
}

}  // namespace

std::uint64_t file_bytes(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  return encode_header(metadata, tensors).size() + data_bytes(tensors);
}

Writer::Writer(const std::filesystem::path& path, const Metadata& metadata, std::vector<TensorInfo> tensors)
    : Writer(path, encode_header(metadata, tensors), std::move(tensors)) {}

Writer::Writer(const std::filesystem::path& path, std::string header, std::vector<TensorInfo>&& tensors)
    : header_(std::move(header)),
      tensors_(std::move(tensors)),
      file_(path, header_.size() + data_bytes(tensors_)) {
  file_.append(std::as_bytes(std::span(header_)));
}

void Writer::append(std::span<const std::byte> data) {
  while (!data.empty()) {
    if (left_ == 0) {
      check(next_ < tensors_.size(), "data beyond the last tensor");
      left_ = tensors_[next_++].bytes();
    }
    const std::size_t part = std::min<std::uint64_t>(left_, data.size());
    file_.append(data.first(part));
    data = data.subspan(part);
    position_ += part;
    left_ -= part;
    if (left_ == 0) pad();
  }
}

void Writer::pad() {
  constexpr std::array<std::byte, kAlignment> kZeros{};
  const std::uint64_t zeros = padding(position_);
  file_.append(std::span(kZeros).first(zeros));
  position_ += zeros;
}

std::string Writer::finish() {
  check(left_ == 0 && next_ == tensors_.size(), "tensors without their data");
  const std::string hash = file_.finish();
  const File written = File::open_for_reading(file_.path());
  std::string header(header_.size(), '\0');
  written.read_at(0, std::as_writable_bytes(std::span(header)));
  check(header == header_ && written.size() == file_.size(), "what was written reads differently");
  return hash;
}

}  // namespace regroup::gguf
