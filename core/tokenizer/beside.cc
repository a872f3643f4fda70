#include "core/tokenizer/beside.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <span>
#include <string>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kVocabularyField = 5 * sizeof(std::int32_t);
constexpr const char* kUsual = "tokenizer.model";

std::string trained_name(std::int64_t vocabulary) {
  return fmt::format("tok{}.model", vocabulary);
}

}  // namespace

std::int64_t vocabulary_of_weights(const fs::path& weights) {
  std::array<std::int32_t, 1> count{};
  File::open_for_reading(weights).read_at(kVocabularyField, std::as_writable_bytes(std::span(count)));
  return std::abs(std::int64_t{count[0]});
}

std::optional<fs::path> find_tokenizer_beside(const fs::path& weights) {
  for (const std::string& name : {trained_name(vocabulary_of_weights(weights)), std::string(kUsual)})
    if (const fs::path file = weights.parent_path() / name; fs::exists(file)) return file;
  return std::nullopt;
}

fs::path tokenizer_beside(const fs::path& weights) {
  if (const auto file = find_tokenizer_beside(weights)) return *file;
  const bool own = fs::exists(weights.parent_path() / "tokenizer.bin");
  throw UserError({.where = weights.string(),
                   .what = "no tokenizer beside it",
                   .expected = fmt::format("{} or {}", trained_name(vocabulary_of_weights(weights)), kUsual),
                   .found = own ? "tokenizer.bin, which is not read" : "",
                   .remedy = "Put the SentencePiece model that it was trained with there"});
}

}  // namespace regroup::tokenizer
