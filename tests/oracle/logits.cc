// logits MODEL IN.safetensors OUT.safetensors: for oracles. IN holds "ids" [B, T]; OUT gets "logits_fp32" and
// "logits_fp64" [B, T, V] by our decoder.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/model/decoder.h"
#include "tests/support/tensor_file.h"

int main(int argc, char** argv) try {
  using namespace regroup;
  check(argc == 4, "usage: logits MODEL IN.safetensors OUT.safetensors");
  const c10::NoGradGuard no_grad;
  const family::ModelDirectory model = family::open_model(argv[1]);
  const at::Tensor ids_BT = testing::read_tensor_file(argv[2]).at("ids");
  testing::NamedTensors results;
  for (const auto& [name, type] :
       {std::pair{"logits_fp32", at::kFloat}, std::pair{"logits_fp64", at::kDouble}}) {
    const model::Decoder decoder(model.config, model::load_weights(model, type, at::kCPU));
    results[name] = decoder.logits(decoder.hidden_states(ids_BT));
  }
  testing::write_tensor_file(argv[3], results);
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 2;
}
