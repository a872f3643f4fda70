// Gradients of every parameter of every family against those that HF transformers finds in float64. How the
// goldens came to be: tests/oracle/gradient_goldens.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/base/json.h"
#include "tests/support/family_model.h"
#include "tests/support/tensor_file.h"
#include "uptrain/result.h"
#include "uptrain/step.h"

namespace regroup::uptrain {
namespace {

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(REGROUP_SOURCE_DIR) / "tests/goldens/gradients.json";

// Frequencies that change with the length of the text: a text of one token less is another one.
bool depends_on_length(const std::string& golden) {
  return golden.starts_with("llama-dynamic") || golden.starts_with("phi3-longrope");
}

// Of a stored tensor, which may hold several parts.
struct Found {
  double squares = 0, dot = 0;
  bool whole = true;  // one part as it lies in the file: `dot` means something
};

Found found_in(const family::ModelTensor& tensor, const at::Tensor& gradient) {
  const at::Tensor as_stored = (tensor.layout.transposed ? gradient.t() : gradient).flatten();
  return {.squares = gradient.square().sum().item<double>(),
          .dot = at::dot(as_stored, at::arange(as_stored.numel(), at::kDouble).cos()).item<double>()};
}

std::map<std::string, Found> gradients(const fs::path& directory) {
  const family::ModelDirectory model = family::open_model(directory);
  const model::Weights weights = model::load_weights(model, at::kDouble, at::kCPU);
  const WeightNames names = weight_names(model, weights);
  Parameters parameters(weights, at::kDouble);
  const model::Decoder student(model.config, parameters.compute());
  const at::Tensor ids_BT = testing::read_tensor_file(directory / "expected.safetensors").at("ids");
  const std::int64_t inputs = ids_BT.size(1) - 1;
  const Objective objective{.loss = &loss("cross-entropy", false)};
  measure_gradients(student, parameters, objective,
                    {ids_BT.narrow(1, 0, inputs).contiguous(), ids_BT.narrow(1, 1, inputs).contiguous()}, 2);
  std::map<std::string, Found> found;
  std::map<std::string, const family::ModelTensor*> stored;
  for (const family::ModelTensor& tensor : model.tensors) stored[tensor.stored.info->name] = &tensor;
  for (const Slot& slot : parameters.slots()) {
    const std::string& name = names.at(slot.key);
    const at::Tensor gradient = parameters.gradient(slot);
    if (name.find('*') != std::string::npos) {  // experts and norms of heads lie in many tensors there
      for (const family::ModelTensor& tensor : model.tensors)
        if (tensor.item >= 0 && model::WeightKey{tensor.part, tensor.layer} == slot.key)
          found[tensor.stored.info->name] = found_in(tensor, gradient[tensor.item]);
      continue;
    }
    const family::ModelTensor& tensor = *stored.at(name.substr(0, name.find(' ')));
    const Found own = found_in(tensor, gradient);
    Found& sums = found[tensor.stored.info->name];
    sums.squares += own.squares;
    sums.dot = own.dot;
    sums.whole = sums.whole && name.find(' ') == std::string::npos;
  }
  return found;
}

class Gradients : public ::testing::TestWithParam<std::string> {};

TEST_P(Gradients, AreThoseOfHf) {
  if (depends_on_length(GetParam())) GTEST_SKIP() << "its frequencies change with the length of the text";
  const Json goldens = read_json(kGoldens);
  ASSERT_TRUE(goldens.contains(GetParam())) << "run tests/oracle/gradient_goldens.py";
  const auto found = gradients(testing::family_golden(GetParam()));
  std::size_t compared = 0;
  for (const auto& [name, expected] : goldens[GetParam()].items()) {
    const auto ours = found.find(name);
    if (ours == found.end()) continue;  // a head stored beside the embedding that it is tied to
    const double norm = expected[0], dot = expected[1];
    const double tolerance = 1e-5 * (0.1 + norm);  // HF has angles and softmax in float32
    EXPECT_NEAR(std::sqrt(ours->second.squares), norm, tolerance) << name;
    if (ours->second.whole) {
      EXPECT_NEAR(ours->second.dot, dot, tolerance) << name;
    }
    ++compared;
  }
  EXPECT_EQ(compared, found.size());
  EXPECT_GT(compared, 8);
}

INSTANTIATE_TEST_SUITE_P(Families, Gradients, ::testing::ValuesIn(testing::family_goldens()),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace regroup::uptrain
