#include "export/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "export/part.h"

namespace regroup::exporting {
namespace {

using family::ModelDirectory;

// Enough for long writes, little beside a tensor.
constexpr std::int64_t kElementsAtATime = 1 << 18;

// Row `row` of a part whose rotary pairs stand side by side is this row of the part as we have it. Rows of a
// head beyond the rotary ones stay where they are.
std::int64_t row_of_pairs(std::int64_t row, const ModelConfig& config) {
  const std::int64_t in_head = row % config.head_dim, turned = config.rope.dims;
  if (in_head >= turned) return row;
  return row - in_head + in_head / 2 + in_head % 2 * (turned / 2);
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

// Rounds and hands on; the buffer lives as long as a tensor is written.
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
  const PartReader reader(model, part, tensor.layer);
  const auto columns = static_cast<std::size_t>(reader.columns());
  const std::int64_t at_a_time = std::max<std::int64_t>(1, kElementsAtATime / reader.columns());
  std::vector<float> values;
  for (std::int64_t begin = 0; begin < reader.rows(); begin += at_a_time) {
    const std::int64_t end = std::min(begin + at_a_time, reader.rows());
    values.resize(static_cast<std::size_t>(end - begin) * columns);
    for (std::int64_t row = begin; row < end; ++row)
      reader.read_row(tensor.pairs_side_by_side ? row_of_pairs(row, model.config) : row,
                      std::span(values).subspan(static_cast<std::size_t>(row - begin) * columns, columns));
    if (tensor.plus_one)
      for (float& value : values) value += 1;
    encoder.write(values, reader.name());
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
  const PartReader embedding(model, Part::kTokenEmbedding, -1), copy(model, Part::kLmHead, -1);
  std::vector<float> one(static_cast<std::size_t>(copy.columns())), other(one.size());
  for (std::int64_t row = 0; row < copy.rows(); ++row) {
    embedding.read_row(row, one);
    copy.read_row(row, other);
    if (one != other)
      throw UserError(
          {.where = model.path.string(),
           .what = fmt::format("'{}' differs from the embedding although config.json ties the two "
                               "(tie_word_embeddings)",
                               copy.name()),
           .remedy = "Set tie_word_embeddings to false if the head is its own"});
  }
}

}  // namespace regroup::exporting
