// The .bin files of llama2.c (github.com/karpathy/llama2.c), version 0: what export.py's legacy_export()
// writes and run.c's read_checkpoint() maps.
//
//   int32 dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len
//   fp32  tensors one after the other, each of all layers in a row
//
// vocab_size is negative where the output layer is not the embedding. Everything else that a Llama has is
// fixed by run.c: epsilon 1e-5, rotary base 10000, no biases, no tokenizer (core/tokenizer/beside.h). Pairs
// of rotary coordinates lie side by side there, as in Meta's own checkpoints; HF's Llama has them half-split.
#pragma once

#include <filesystem>

#include "core/base/json.h"
#include "core/checkpoint/tensor_file.h"

namespace regroup::family {

struct Llama2cFile {
  Json config;                     // config.json of the same model as HF's LlamaForCausalLM
  checkpoint::TensorFile weights;  // under HF's names, queries and keys read in HF's order of rows
};

// The rotary table in the file belongs to no tensor; it is compared with the base that run.c turns by.
// UserError for a header that is none, for a length that is not what the header makes it, for another rotary
// base, and, by name, for versions 1 and 2 and for files of torch.save.
Llama2cFile open_llama2c_file(const std::filesystem::path& path);

}  // namespace regroup::family
