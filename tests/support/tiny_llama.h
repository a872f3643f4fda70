// Small random Llama checkpoints on disk, in every shape a test needs, and their tensors read back.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "core/checkpoint/dtype.h"

namespace regroup::testing {

struct TinyLlama {
  std::int64_t layers = 2, hidden = 12, heads = 4, kv_heads = 4, head_dim = 4, ffn = 20, vocab = 24;
  bool tied = false, attention_bias = false, mlp_bias = false, buffers = false;
  checkpoint::DType dtype = checkpoint::DType::kF32;
  int files = 1;  // more than one: shards and an index
  std::uint64_t seed = 1;
};

// The tensors by name; norms near 1, everything else normal with deviation 0.3.
std::map<std::string, at::Tensor> tiny_llama_tensors(const TinyLlama& shape);

// A directory as HF writes it: config.json, weights, a tokenizer_config.json that is only carried along.
void write_tiny_llama(const TinyLlama& shape, const std::filesystem::path& directory);

// Writes these tensors in place of random ones.
void write_llama(const TinyLlama& shape, const std::map<std::string, at::Tensor>& tensors,
                 const std::filesystem::path& directory);

// Every tensor of a checkpoint directory, in its stored type.
std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path& directory);

}  // namespace regroup::testing
