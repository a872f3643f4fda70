// Model directories made for a test: a configuration, and a weight for each tensor that it asks for.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/family/family.h"
#include "tests/support/checkpoint_files.h"

namespace regroup::testing {

// Hidden 8, 1 layer, 2 heads of 4, ffn 6, vocabulary 5.
inline Json tiny_llama() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 6,
                         "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 5})");
}

struct FileTensor {
  std::string dtype = "F32";
  std::vector<std::int64_t> shape;
  std::string bytes;
  bool operator==(const FileTensor&) const = default;

  static FileTensor of_floats(std::vector<std::int64_t> shape, float value) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    const std::vector<float> values(static_cast<std::size_t>(count), value);
    return {"F32", std::move(shape),
            std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float))};
  }
};

using FileTensors = std::map<std::string, FileTensor>;

// Every required tensor of `config`, all ones.
inline FileTensors required_tensors(const Json& config) {
  const family::Family& family = family::family_for(config, "test");
  FileTensors tensors;
  for (const auto& expected : family::expected_tensors(family, family.read_config(config, "test")))
    if (expected.required) tensors[expected.name] = FileTensor::of_floats(expected.shape, 1);
  return tensors;
}

inline void write_model(const std::filesystem::path& directory, const Json& config,
                        const FileTensors& tensors) {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  std::filesystem::create_directories(directory);
  write_file(directory / "config.json", to_text(config));
  write_file(directory / "model.safetensors", safetensors_bytes(header.dump(), data));
}

}  // namespace regroup::testing
