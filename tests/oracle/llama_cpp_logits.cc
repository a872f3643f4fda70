// llama.cpp's logits for rows of token ids, each row a text of its own. Built by export_parity.py against
// llama.cpp.
//
//   llama_cpp_logits MODEL.gguf IDS.i32 TOKENS OUT.f32     IDS: rows of TOKENS ids; OUT: TOKENS x vocabulary
//   a row
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "llama.h"

namespace {

std::vector<llama_token> read_ids(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto* ids = reinterpret_cast<const llama_token*>(bytes.data());
  return {ids, ids + bytes.size() / sizeof(llama_token)};
}

// The cache in float32 and no fused attention: what is compared is the arithmetic of the file.
llama_context* open_context(llama_model* model, std::uint32_t tokens) {
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = tokens;
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  parameters.type_k = parameters.type_v = GGML_TYPE_F32;
  parameters.n_threads = parameters.n_threads_batch = 2;
  return llama_init_from_model(model, parameters);
}

bool write_logits(llama_context* context, const std::vector<llama_token>& row, int vocabulary,
                  std::ofstream& out) {
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(static_cast<std::int32_t>(row.size()), 0, 1);
  for (std::size_t i = 0; i < row.size(); ++i) {
    batch.token[i] = row[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<std::int32_t>(row.size());
  const bool decoded = llama_decode(context, batch) == 0;
  for (std::size_t i = 0; decoded && i < row.size(); ++i)
    out.write(reinterpret_cast<const char*>(llama_get_logits_ith(context, static_cast<std::int32_t>(i))),
              static_cast<std::streamsize>(sizeof(float)) * vocabulary);
  llama_batch_free(batch);
  return decoded;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::size_t tokens = std::strtoul(argv[3], nullptr, 10);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) return 1;
  llama_context* context = open_context(model, static_cast<std::uint32_t>(tokens));
  if (context == nullptr) return 1;
  const std::vector<llama_token> ids = read_ids(argv[2]);
  std::ofstream out(argv[4], std::ios::binary);
  for (std::size_t begin = 0; begin + tokens <= ids.size(); begin += tokens)
    if (!write_logits(context, {ids.begin() + begin, ids.begin() + begin + tokens},
                      llama_vocab_n_tokens(llama_model_get_vocab(model)), out))
      return 1;
  llama_free(context);
  llama_model_free(model);
}
