// A small reader of GGUF files for tests, written from the format's description and nothing else.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace regroup::testing {

struct GgufTensor {
  std::vector<std::uint64_t> extents;  // as in the file: the fastest first
  std::uint32_t type = 0;              // 0 F32, 1 F16, 8 Q8_0, 30 BF16
  std::string bytes;
};

struct GgufFile {
  std::map<std::string, Json> metadata;  // numbers as numbers, arrays as arrays
  std::map<std::string, std::uint32_t> types;
  std::map<std::string, GgufTensor> tensors;
};

class GgufParser {
 public:
  explicit GgufParser(const std::string& file) : file_(file) {}

  GgufFile parse() {
    if (file_.substr(0, 4) != "GGUF") throw std::runtime_error("no GGUF");
    at_ = 4;
    if (number<std::uint32_t>() != 3) throw std::runtime_error("not version 3");
    const auto tensors = number<std::uint64_t>(), pairs = number<std::uint64_t>();
    GgufFile result;
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const std::string key = text();
      result.types[key] = number<std::uint32_t>();
      result.metadata[key] = value(result.types[key]);
    }
    std::map<std::string, std::uint64_t> offsets;
    for (std::uint64_t i = 0; i < tensors; ++i) {
      const std::string name = text();
      GgufTensor& tensor = result.tensors[name];
      tensor.extents.resize(number<std::uint32_t>());
      for (auto& extent : tensor.extents) extent = number<std::uint64_t>();
      tensor.type = number<std::uint32_t>();
      offsets[name] = number<std::uint64_t>();
      if (offsets[name] % 32 != 0) throw std::runtime_error("not aligned: " + name);
    }
    const std::uint64_t data = (at_ + 31) / 32 * 32;
    for (auto& [name, tensor] : result.tensors) tensor.bytes = take(data + offsets[name], bytes_of(tensor));
    return result;
  }

 private:
  std::string take(std::uint64_t from, std::uint64_t count) const {
    if (from + count > file_.size()) throw std::runtime_error("the file ends early");
    return file_.substr(from, count);
  }
  template <typename T>
  T number() {
    T result;
    std::memcpy(&result, take(at_, sizeof(T)).data(), sizeof(T));
    at_ += sizeof(T);
    return result;
  }
  std::string text() {
    const auto size = number<std::uint64_t>();
    const std::string result = take(at_, size);
    at_ += size;
    return result;
  }
  static std::uint64_t bytes_of(const GgufTensor& tensor) {
    std::uint64_t elements = 1;
    for (const auto extent : tensor.extents) elements *= extent;
    return tensor.type == 0 ? elements * 4 : tensor.type == 8 ? elements / 32 * 34 : elements * 2;
  }
  Json value(std::uint32_t type) {
    switch (type) {
      case 0:
        return number<std::uint8_t>();
      case 1:
        return number<std::int8_t>();
      case 2:
        return number<std::uint16_t>();
      case 3:
        return number<std::int16_t>();
      case 4:
        return number<std::uint32_t>();
      case 5:
        return number<std::int32_t>();
      case 6:
        return number<float>();
      case 7:
        return number<std::uint8_t>() != 0;
      case 8:
        return text();
      case 9: {
        const auto element = number<std::uint32_t>();
        const auto count = number<std::uint64_t>();
        Json array = Json::array();
        for (std::uint64_t i = 0; i < count; ++i) array.push_back(value(element));
        return array;
      }
      case 10:
        return number<std::uint64_t>();
      case 11:
        return number<std::int64_t>();
      case 12:
        return number<double>();
      default:
        throw std::runtime_error("no such type");
    }
  }

  const std::string& file_;
  std::uint64_t at_ = 0;
};

inline GgufFile parse_gguf(const std::string& file) {
  return GgufParser(file).parse();
}

}  // namespace regroup::testing
