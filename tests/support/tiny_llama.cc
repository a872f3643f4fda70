#include "tests/support/tiny_llama.h"

#include <fmt/format.h>

#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/sharding.h"
#include "core/model/device.h"

namespace regroup::testing {
namespace {

using checkpoint::DType;
using model::scalar_type;

DType stored_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kHalf       ? DType::kF16
         : tensor.scalar_type() == at::kBFloat16 ? DType::kBF16
         : tensor.scalar_type() == at::kDouble   ? DType::kF64
                                                 : DType::kF32;
}

at::Tensor draw(const TinyLlama& shape, const std::string& name, at::IntArrayRef sizes) {
  RandomStream stream(shape.seed, name);
  at::Tensor values = at::empty(sizes, at::kFloat);
  float* data = values.mutable_data_ptr<float>();
  const bool norm = name.find("norm") != std::string::npos;
  for (std::int64_t i = 0; i < values.numel(); ++i)
    data[i] = static_cast<float>((norm ? 1 : 0) + (norm ? 0.1 : 0.3) * stream.normal());
  return values.to(scalar_type(shape.dtype));
}

Json config_json(const TinyLlama& shape) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"attention_bias", shape.attention_bias},
          {"head_dim", shape.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.ffn},
          {"max_position_embeddings", 64},
          {"mlp_bias", shape.mlp_bias},
          {"model_type", "llama"},
          {"num_attention_heads", shape.heads},
          {"num_hidden_layers", shape.layers},
          {"num_key_value_heads", shape.kv_heads},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", shape.tied},
          {"torch_dtype", checkpoint::config_dtype_name(shape.dtype)},
          {"vocab_size", shape.vocab}};
}

}  // namespace

std::map<std::string, at::Tensor> tiny_llama_tensors(const TinyLlama& s) {
  std::map<std::string, at::Tensor> tensors;
  const auto add = [&](const std::string& name, at::IntArrayRef sizes) {
    tensors[name] = draw(s, name, sizes);
  };
  add("model.embed_tokens.weight", {s.vocab, s.hidden});
  add("model.norm.weight", {s.hidden});
  if (!s.tied) add("lm_head.weight", {s.vocab, s.hidden});
  const std::int64_t queries = s.heads * s.head_dim, keys = s.kv_heads * s.head_dim;
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.", layer);
    add(at + "input_layernorm.weight", {s.hidden});
    add(at + "post_attention_layernorm.weight", {s.hidden});
    const auto linear = [&](const std::string& name, std::int64_t rows, std::int64_t columns, bool bias) {
      add(at + name + ".weight", {rows, columns});
      if (bias) add(at + name + ".bias", {rows});
    };
    linear("self_attn.q_proj", queries, s.hidden, s.attention_bias);
    linear("self_attn.k_proj", keys, s.hidden, s.attention_bias);
    linear("self_attn.v_proj", keys, s.hidden, s.attention_bias);
    linear("self_attn.o_proj", s.hidden, queries, s.attention_bias);
    linear("mlp.gate_proj", s.ffn, s.hidden, s.mlp_bias);
    linear("mlp.up_proj", s.ffn, s.hidden, s.mlp_bias);
    linear("mlp.down_proj", s.hidden, s.ffn, s.mlp_bias);
    if (s.buffers)
      tensors[at + "self_attn.rotary_emb.inv_freq"] =
          at::pow(10000., -at::arange(0, s.head_dim, 2, at::kFloat) / s.head_dim).to(at::kFloat);
  }
  return tensors;
}

void write_llama(const TinyLlama& shape, const std::map<std::string, at::Tensor>& tensors,
                 const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  std::vector<checkpoint::Shard> shards(static_cast<std::size_t>(shape.files));
  std::size_t number = 0;
  for (const auto& [name, tensor] : tensors) {
    checkpoint::TensorInfo info{.name = name,
                                .dtype = stored_type(tensor),
                                .shape = tensor.sizes().vec(),
                                .begin = 0,
                                .end = tensor.nbytes()};
    shards[number++ * shards.size() / tensors.size()].tensors.push_back(info);
  }
  checkpoint::name_shards(shards);
  for (checkpoint::Shard& shard : shards) {
    checkpoint::sort_as_reference(shard.tensors);
    checkpoint::SafetensorsWriter writer(directory / shard.file_name, shard.tensors, {{"format", "pt"}});
    for (const auto& info : shard.tensors) {
      const at::Tensor tensor = tensors.at(info.name).contiguous();
      writer.append({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
    }
    writer.finish();
  }
  if (shape.files > 1) write_text(directory / checkpoint::kIndexFile, checkpoint::index_text(shards));
  write_text(directory / "config.json", to_text(config_json(shape)));
  write_text(directory / "tokenizer_config.json",
             "{\"model_max_length\": 1000000000000000019884624838656}\n");
}

void write_tiny_llama(const TinyLlama& shape, const std::filesystem::path& directory) {
  write_llama(shape, tiny_llama_tensors(shape), directory);
}

std::map<std::string, at::Tensor> read_tensors(const std::filesystem::path& directory) {
  const auto checkpoint = checkpoint::Checkpoint::open(directory);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& file : checkpoint.files())
    for (const auto& info : file.header().tensors) {
      at::Tensor tensor = at::empty(info.shape, scalar_type(info.dtype));
      file.read(info, 0, {static_cast<std::byte*>(tensor.mutable_data_ptr()), info.bytes()});
      tensors[info.name] = tensor;
    }
  return tensors;
}

}  // namespace regroup::testing
