// Typed access to the keys of a config.json. Every wrong value is a UserError that names file, key, what was
// expected and what is there. A key whose value is null counts as absent, as HF reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace regroup::family {

// The most that a count of a kind may be, each far above every model that there is. What follows from counts
// is then small: lists of heads and tensors, and products (of parameters, bytes, operations) within 64 bits,
// whatever a file claims.
inline constexpr std::int64_t kMostCount = 2'147'483'647;  // ids, positions
inline constexpr std::int64_t kMostWidth = 1 << 19;  // numbers in a row: hidden, mlp, all heads together
inline constexpr std::int64_t kMostHeads = 1 << 12;  // heads, experts
inline constexpr std::int64_t kMostLayers = 1 << 10;

class ConfigReader {
 public:
  // Keeps references to `json`; `where` names it in errors.
  ConfigReader(const Json& json, std::string where);

  bool has(std::string_view key) const;
  bool empty() const { return json_->empty(); }

  // A count: a whole number from 1 to `most`.
  std::int64_t count(std::string_view key, std::int64_t most = kMostCount) const;
  std::int64_t count_or(std::string_view key, std::int64_t fallback, std::int64_t most = kMostCount) const;

  // A number above zero.
  double positive(std::string_view key) const;
  double positive_or(std::string_view key, double fallback) const;

  // Any number.
  double number_or(std::string_view key, double fallback) const;
  // A list of numbers above zero, `size` of them.
  std::vector<double> positives(std::string_view key, std::size_t size) const;

  bool boolean_or(std::string_view key, bool fallback) const;
  std::string text_or(std::string_view key, std::string_view fallback) const;

  // A list of strings; empty if there is none. Its first, "" if there is none.
  std::vector<std::string> texts(std::string_view key) const;
  std::string first_text(std::string_view key) const;
  // A list of whole numbers from 0 on; empty if there is none.
  std::vector<std::int64_t> numbers(std::string_view key) const;

  // The object under `key`, in errors "where: 'key.…'"; an empty object if there is none.
  ConfigReader object(std::string_view key) const;

  [[noreturn]] void refuse(std::string_view key, std::string expected, std::string remedy = {}) const;

 private:
  const Json* find(std::string_view key) const;

  const Json* json_;
  std::string where_, prefix_;
};

}  // namespace regroup::family
