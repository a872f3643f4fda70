#include "export/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/half.h"

namespace regroup::exporting {
namespace {

using checkpoint::DType;
using family::ModelDirectory;
using family::ModelTensor;

// Enough for long writes, little beside a tensor.
constexpr std::size_t kElementsAtATime = 1 << 18;

// A part as stored: its rows one after the other.
struct Matrix {
  std::string name;
  DType dtype = DType::kF32;
  std::int64_t rows = 0, columns = 0;
  std::vector<std::byte> bytes;

  std::size_t row_bytes() const { return static_cast<std::size_t>(columns * dtype_bits(dtype) / 8); }
  std::span<const std::byte> row(std::int64_t index) const {
    return std::span(bytes).subspan(static_cast<std::size_t>(index) * row_bytes(), row_bytes());
  }
};

// Vectors are columns: one number a row.
Matrix read_part(const ModelDirectory& model, Part part, std::int64_t layer) {
  const ModelTensor* tensor = model.find(part, layer);
  check(tensor != nullptr, "a planned part that the model has not");
  const checkpoint::TensorInfo& info = *tensor->stored.info;
  Matrix matrix{.name = info.name, .dtype = info.dtype, .rows = info.shape.front(), .columns = 1};
  if (info.shape.size() > 1) matrix.columns = info.shape.back();
  matrix.bytes.resize(info.bytes());
  model.checkpoint.read(tensor->stored, matrix.bytes);
  return matrix;
}

template <typename Stored, typename Convert>
void widen(std::span<const std::byte> bytes, Convert convert, float* out) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Stored)) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + at, sizeof(Stored));
    *out++ = convert(stored);
  }
}

void to_floats(std::span<const std::byte> bytes, DType dtype, float* out) {
  switch (dtype) {
    case DType::kF64:
      return widen<double>(
          bytes, [](double value) { return static_cast<float>(value); }, out);
    case DType::kF32:
      return widen<float>(
          bytes, [](float value) { return value; }, out);
    case DType::kF16:
      return widen<std::uint16_t>(bytes, half_to_float, out);
    case DType::kBF16:
      return widen<std::uint16_t>(bytes, bfloat16_to_float, out);
    default:
      check(false, "open_model() demands plain floats");
  }
}

// Row `row` of a part whose rotary pairs stand side by side is this row of the part as we have it. Rows of a
// head beyond the rotary ones stay where they are.
std::int64_t row_of_pairs(std::int64_t row, std::int64_t head_dim, std::int64_t rotary) {
  const std::int64_t in_head = row % head_dim;
  if (in_head >= rotary) return row;
  return row - in_head + in_head / 2 + in_head % 2 * (rotary / 2);
}

void require_fits(std::span<const float> values, gguf::TensorType type, const ModelDirectory& model,
                  const std::string& name) {
  const float most = gguf::largest_value(type);
  const auto bad = std::ranges::find_if(values, [most](float value) { return !(std::abs(value) <= most); });
  if (bad == values.end()) return;
  const bool finite = std::isfinite(*bad);
  throw UserError(
      {.where = model.path.string(),
       .what = finite ? fmt::format("'{}' holds numbers beyond the range of {}", name, gguf::type_name(type))
                      : fmt::format("'{}' holds a NaN or an infinity", name),
       .found = finite ? fmt::format("{:g}", *bad) : "",
       .remedy =
           finite ? "Choose --dtype bf16 or fp32" : "The checkpoint is damaged or its training diverged"});
}

// Rounds and hands on what is collected; the buffers live as long as a tensor is written.
class Encoder {
 public:
  Encoder(const ModelDirectory& model, gguf::TensorType type, gguf::Writer& writer)
      : model_(model), type_(type), writer_(writer) {}

  void write(std::span<const float> values, const std::string& name) {
    require_fits(values, type_, model_, name);
    const auto block = static_cast<std::size_t>(gguf::block_elements(type_));
    stored_.resize(values.size() / block * gguf::block_bytes(type_));
    gguf::encode(type_, values, stored_);
    writer_.append(stored_);
  }

 private:
  const ModelDirectory& model_;
  gguf::TensorType type_;
  gguf::Writer& writer_;
  std::vector<std::byte> stored_;
};

void write_part(const ModelDirectory& model, const PlannedTensor& tensor, Part part, Encoder& encoder) {
  const Matrix matrix = read_part(model, part, tensor.layer);
  const std::int64_t head_dim = model.config.head_dim, rotary = head_dim;
  const std::int64_t at_a_time =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(kElementsAtATime) / matrix.columns);
  std::vector<float> values;
  for (std::int64_t begin = 0; begin < matrix.rows; begin += at_a_time) {
    const std::int64_t end = std::min(begin + at_a_time, matrix.rows);
    values.resize(static_cast<std::size_t>((end - begin) * matrix.columns));
    for (std::int64_t row = begin; row < end; ++row)
      to_floats(matrix.row(tensor.pairs_side_by_side ? row_of_pairs(row, head_dim, rotary) : row),
                matrix.dtype, values.data() + (row - begin) * matrix.columns);
    encoder.write(values, matrix.name);
  }
}

}  // namespace

void write_tensor(const ModelDirectory& model, const PlannedTensor& tensor, gguf::Writer& writer) {
  Encoder encoder(model, tensor.info.type, writer);
  if (!tensor.values.empty()) encoder.write(tensor.values, tensor.info.name);
  for (const Part part : tensor.parts) write_part(model, tensor, part, encoder);
}

void check_tied_copy(const ModelDirectory& model) {
  if (!model.config.tied_embeddings || model.find(Part::kLmHead) == nullptr) return;
  const Matrix embedding = read_part(model, Part::kTokenEmbedding, -1),
               copy = read_part(model, Part::kLmHead, -1);
  const auto columns = static_cast<std::size_t>(copy.columns);
  std::vector<float> one(columns), other(columns);
  for (std::int64_t row = 0; row < copy.rows; ++row) {
    to_floats(embedding.row(row), embedding.dtype, one.data());
    to_floats(copy.row(row), copy.dtype, other.data());
    if (one != other)
      throw UserError(
          {.where = model.path.string(),
           .what = fmt::format("'{}' differs from the embedding although config.json ties the two "
                               "(tie_word_embeddings)",
                               copy.name),
           .remedy = "Set tie_word_embeddings to false if the head is its own"});
  }
}

}  // namespace regroup::exporting
