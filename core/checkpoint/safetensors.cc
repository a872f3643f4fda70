#include "core/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/base/error.h"
#include "core/checkpoint/json_events.h"

namespace regroup::checkpoint {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;
constexpr std::uint64_t kLargestSize = (std::uint64_t{1} << 48) - 1;  // the cap of the format's JSON schema
constexpr std::string_view kMetadataKey = "__metadata__";

// Fills a FileHeader from the events of its JSON. Checks the form only; what the offsets must be to
// each other is checked when all are known.
class HeaderVisitor final : public JsonVisitor {
 public:
  explicit HeaderVisitor(const std::string& where) : where_(where) {}
  FileHeader header;

  void open_object() override {
    if (place_ == Place::kFile) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = key_ == kMetadataKey ? Place::kMetadata : Place::kTensor;
      if (place_ == Place::kTensor) begin_tensor();
    } else {
      refuse("an object");
    }
  }

  void open_array() override {
    if (place_ != Place::kTensor || key_ == "dtype") refuse("a list");
    place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
  }

  void close() override {
    if (place_ == Place::kShape || place_ == Place::kOffsets) {
      if (place_ == Place::kOffsets && offsets_ != 2)
        fail_tensor("'data_offsets'", "[begin, end]", fmt::format("{} numbers", offsets_));
      place_ = Place::kTensor;
    } else {
      if (place_ == Place::kTensor) end_tensor();
      place_ = place_ == Place::kTop ? Place::kFile : Place::kTop;
    }
  }

  void key(std::string& name) override {
    key_ = std::move(name);
    if (place_ == Place::kTop && key_ == kMetadataKey && std::exchange(metadata_seen_, true))
      throw UserError({.where = where_, .what = "'__metadata__' is there twice"});
    if (place_ == Place::kTensor) mark_field();
    if (place_ == Place::kMetadata && header.metadata.contains(key_))
      throw UserError({.where = where_, .what = fmt::format("'__metadata__' has {} twice", in_quotes(key_))});
  }

  void string(std::string& text) override {
    if (place_ == Place::kMetadata) {
      header.metadata.emplace(key_, std::move(text));
    } else if (place_ == Place::kTensor && key_ == "dtype") {
      const auto dtype = dtype_from_name(text);
      if (!dtype) fail_tensor("is of an unknown dtype", "", in_quotes(text));
      tensor().dtype = *dtype;
    } else {
      refuse("the text " + in_quotes(text));
    }
  }

  void size(std::uint64_t number) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) refuse(std::to_string(number));
    if (number > kLargestSize) fail_tensor(in_field(), "numbers up to 2^48 - 1", std::to_string(number));
    if (place_ == Place::kShape) {
      tensor().shape.push_back(static_cast<std::int64_t>(number));
    } else {
      (offsets_ == 0 ? tensor().begin : tensor().end) = number;
      ++offsets_;
    }
  }

  void other(const std::string& literal) override { refuse(literal); }

 private:
  enum class Place { kFile, kTop, kMetadata, kTensor, kShape, kOffsets };

  TensorInfo& tensor() { return header.tensors.back(); }
  std::string in_field() const { return fmt::format("'{}'", key_); }

  void begin_tensor() {
    header.tensors.emplace_back();
    tensor().name = std::move(key_);
    dtype_seen_ = shape_seen_ = offsets_seen_ = false;
    offsets_ = 0;
  }

  void mark_field() {
    bool* seen = key_ == "dtype"          ? &dtype_seen_
                 : key_ == "shape"        ? &shape_seen_
                 : key_ == "data_offsets" ? &offsets_seen_
                                          : nullptr;
    if (!seen) fail_tensor("has a field unknown to the format", "", in_quotes(key_));
    if (std::exchange(*seen, true)) fail_tensor(fmt::format("has '{}' twice", key_), "", "");
  }

  void end_tensor() {
    const char* missing = !dtype_seen_     ? "dtype"
                          : !shape_seen_   ? "shape"
                          : !offsets_seen_ ? "data_offsets"
                                           : nullptr;
    if (missing) fail_tensor(fmt::format("has no '{}'", missing), "", "");
  }

  [[noreturn]] void fail_tensor(const std::string& what, const std::string& expected,
                                const std::string& found) {
    throw UserError({.where = where_,
                     .what = fmt::format("tensor {}: {}", in_quotes(tensor().name), what),
                     .expected = expected,
                     .found = found});
  }

  [[noreturn]] void refuse(const std::string& found) {
    switch (place_) {
      case Place::kTensor:
        fail_tensor(in_field(), key_ == "dtype" ? "a name such as 'BF16'" : "a list of numbers", found);
      case Place::kShape:
      case Place::kOffsets:
        fail_tensor(in_field(), "whole numbers that are not negative", found);
      case Place::kMetadata:
        throw UserError(
            {.where = where_,
             .what = fmt::format("'__metadata__' maps {} to something else than text", in_quotes(key_)),
             .found = found});
      default:
        throw UserError({.where = where_,
                         .what = "entry " + in_quotes(key_) + " of the header",
                         .expected = key_ == kMetadataKey ? "an object of texts"
                                                          : "an object {dtype, shape, data_offsets}",
                         .found = found});
    }
  }

  const std::string& where_;
  Place place_ = Place::kFile;
  std::string key_;
  bool metadata_seen_ = false, dtype_seen_ = false, shape_seen_ = false, offsets_seen_ = false;
  int offsets_ = 0;
};

std::string byte_count(std::uint64_t bytes) {
  return bytes == 1 ? "1 byte" : fmt::format("{} bytes", bytes);
}

class LayoutCheck {
 public:
  LayoutCheck(const std::vector<TensorInfo>& tensors, const std::string& where)
      : tensors_(tensors), where_(where) {}

  void names_are_unique() const {
    std::vector<const std::string*> names;
    names.reserve(tensors_.size());
    for (const TensorInfo& tensor : tensors_) names.push_back(&tensor.name);
    std::ranges::sort(names, [](auto* a, auto* b) { return *a < *b; });
    const auto twice = std::ranges::adjacent_find(names, [](auto* a, auto* b) { return *a == *b; });
    if (twice != names.end()) fail(fmt::format("tensor {} is there twice", in_quotes(**twice)));
  }

  void bytes_fit_shape(const TensorInfo& tensor) const {
    const auto bits = bits_of(tensor.dtype, tensor.shape);
    if (!bits) fail(describe(tensor) + ", is larger than any file");
    if (*bits % 8 != 0)
      fail(fmt::format("{}, is {} bits: not a whole number of bytes", describe(tensor), *bits));
    if (tensor.end < tensor.begin)
      fail(fmt::format("tensor {} ends at {}, before its begin {}", in_quotes(tensor.name), tensor.end,
                       tensor.begin));
    if (tensor.bytes() != *bits / 8)
      throw UserError({.where = where_,
                       .what = describe(tensor),
                       .expected = byte_count(*bits / 8),
                       .found = fmt::format("data_offsets that span {}", tensor.bytes())});
  }

  void offsets_follow_each_other() const {
    std::uint64_t end = 0;
    const TensorInfo* last = nullptr;
    for (const TensorInfo& tensor : tensors_) {
      if (tensor.begin != end) fail(gap_or_overlap(tensor, last, end));
      end = tensor.end;
      last = &tensor;
    }
  }

  void data_fills_file(std::uint64_t data_bytes) const {
    const std::uint64_t end = tensors_.empty() ? 0 : tensors_.back().end;
    if (end > data_bytes)
      throw UserError({.where = where_,
                       .what = fmt::format("cut off, {} missing: tensor {} should end at byte {} of "
                                           "the data, which has only {}",
                                           byte_count(end - data_bytes), in_quotes(tensors_.back().name), end,
                                           data_bytes),
                       .remedy = kCutOff});
    if (end < data_bytes) fail(byte_count(data_bytes - end) + " of no tensor at its end");
  }

 private:
  static std::string describe(const TensorInfo& tensor) {
    const auto sizes = std::span(tensor.shape).first(std::min<std::size_t>(tensor.shape.size(), 16));
    return fmt::format("tensor {}, {} of {}", in_quotes(tensor.name), dtype_name(tensor.dtype),
                       shape_text(sizes));
  }

  static std::string gap_or_overlap(const TensorInfo& tensor, const TensorInfo* last, std::uint64_t end) {
    if (tensor.begin < end)
      return fmt::format("tensors {} and {} overlap: one ends at byte {}, the other begins at {}",
                         in_quotes(last->name), in_quotes(tensor.name), end, tensor.begin);
    return fmt::format("{} of no tensor before {}: it begins at byte {} instead of {}",
                       byte_count(tensor.begin - end), in_quotes(tensor.name), tensor.begin, end);
  }

  [[noreturn]] void fail(std::string what) const {
    throw UserError({.where = where_, .what = std::move(what)});
  }

  const std::vector<TensorInfo>& tensors_;
  const std::string& where_;
};

std::uint64_t little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(bytes[i]);
  return value;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The header's JSON, once its length has been found possible.
std::string_view header_text(std::span<const std::byte> prefix, std::uint64_t file_bytes,
                             const std::string& where) {
  refuse_lfs_pointer(prefix, where);
  if (file_bytes < kLengthBytes)
    throw UserError({.where = where,
                     .what = "too short for a safetensors file",
                     .expected = "at least 8 bytes",
                     .found = std::to_string(file_bytes),
                     .remedy = kCutOff});
  const std::uint64_t length = little_endian(prefix);
  if (length > kLongestHeader)
    throw UserError({.where = where,
                     .what = "not a safetensors file: it begins with the length of its header",
                     .expected = fmt::format("at most {}", kLongestHeader),
                     .found = std::to_string(length)});
  if (length > file_bytes - kLengthBytes)
    throw UserError(
        {.where = where,
         .what = fmt::format("header says {} bytes but the file has only {}: was the download cut off?",
                             length, file_bytes - kLengthBytes)});
  check(prefix.size() >= kLengthBytes + length, "the caller did not read the whole header");
  const std::string_view text = as_text(prefix).substr(kLengthBytes, length);
  if (!text.starts_with('{'))
    throw UserError({.where = where, .what = "not a safetensors file: its header does not begin with '{'"});
  return text;
}

}  // namespace

FileHeader parse_safetensors_header(std::span<const std::byte> prefix, std::uint64_t file_bytes,
                                    const std::string& where) {
  const std::string_view text = header_text(prefix, file_bytes, where);
  HeaderVisitor visitor(where);
  visit_json(text, where, visitor);
  FileHeader header = std::move(visitor.header);
  header.data_begin = kLengthBytes + text.size();

  const LayoutCheck layout(header.tensors, where);
  layout.names_are_unique();
  for (const TensorInfo& tensor : header.tensors) layout.bytes_fit_shape(tensor);
  std::ranges::sort(header.tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  layout.offsets_follow_each_other();
  layout.data_fills_file(file_bytes - header.data_begin);
  return header;
}

TensorFile open_safetensors(const std::filesystem::path& path) {
  File file = File::open_for_reading(path);
  const std::uint64_t file_bytes = file.size();
  std::vector<std::byte> prefix(std::min<std::uint64_t>(file_bytes, kLfsPrefix));
  file.read_at(0, prefix);
  if (prefix.size() >= kLengthBytes) {
    const std::uint64_t length = little_endian(prefix);
    if (length <= kLongestHeader && length <= file_bytes - kLengthBytes) {
      prefix.resize(kLengthBytes + length);
      file.read_at(0, prefix);
    }
  }
  FileHeader header = parse_safetensors_header(prefix, file_bytes, path.string());
  return {std::move(file), std::move(header)};
}

}  // namespace regroup::checkpoint
