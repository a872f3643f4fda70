#include "uptrain/step.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "tests/support/random_model.h"

namespace regroup::uptrain {
namespace {

using family::Part;
using testing::random_tokens;
using testing::random_weights;
using testing::small_config;

struct Trained {
  explicit Trained(const family::ModelConfig& config, at::ScalarType type = at::kDouble,
                   at::ScalarType compute = at::kDouble)
      : parameters(random_weights(config, 0, type), compute), student(config, parameters.compute()) {
    at::set_num_threads(1);  // more would wait for each other longer than they compute
  }
  Parameters parameters;
  model::Decoder student;
};

Batch make_batch(const family::ModelConfig& config, std::int64_t windows, std::int64_t length) {
  const at::Tensor tokens = random_tokens(config, windows, length + 1);
  return {tokens.narrow(1, 0, length).contiguous(), tokens.narrow(1, 1, length).contiguous()};
}

StepSettings settings(std::int64_t micro_batch, double lr = 0.01) {
  return {.step = 1, .micro_batch = micro_batch, .clip = 0, .adamw = {.lr = lr}};
}

std::vector<at::Tensor> masters(const Parameters& parameters) {
  std::vector<at::Tensor> all;
  for (const Slot& slot : parameters.slots()) all.push_back(parameters.master(slot).clone());
  return all;
}

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, (a[i] - b[i]).abs().max().item<double>());
  return most;
}

at::Tensor plain_mean_loss(const model::Decoder& student, const Batch& batch) {
  const at::Tensor logits = student.logits(student.hidden_states(batch.inputs_BT)).flatten(0, 1);
  return -at::log_softmax(logits, 1).gather(1, batch.targets_BT.flatten().unsqueeze(1)).mean();
}

TEST(Step, GradientsAreThoseOfThePlainMeanLossForEveryWeight) {
  for (const bool tied : {false, true}) {
    family::ModelConfig config = small_config();
    config.tied_embeddings = tied;
    Trained trained(config), plain(config);
    const Batch batch = make_batch(config, 3, 7);
    const at::Tensor loss = plain_mean_loss(plain.student, batch);
    loss.backward();
    const StepResult result =
        step(trained.student, trained.parameters, losses().front(), batch, settings(2, 0));
    EXPECT_NEAR(result.loss, loss.item<double>(), 1e-12);
    for (const Slot& slot : trained.parameters.slots()) {
      const at::Tensor expected = plain.parameters.compute().at(slot.key).grad();
      EXPECT_LT((trained.parameters.gradient(slot) - expected).abs().max().item<double>(), 1e-12)
          << "part " << static_cast<int>(slot.key.first) << " layer " << slot.key.second << " tied " << tied;
    }
  }
}

TEST(Step, MicroBatchesAreMemoryNotMathematics) {
  const family::ModelConfig config = small_config();
  const Batch batch = make_batch(config, 5, 7);
  Trained whole(config), parts(config);
  step(whole.student, whole.parameters, losses().front(), batch, settings(5));
  step(parts.student, parts.parameters, losses().front(), batch, settings(2));
  EXPECT_LT(largest_difference(masters(whole.parameters), masters(parts.parameters)), 1e-9);
}

TEST(Step, UpdatesAsAdamWSays) {
  const family::ModelConfig config = small_config();
  Trained trained(config);
  const Batch batch = make_batch(config, 2, 7);
  std::vector<at::Tensor> value = masters(trained.parameters), first, second;
  for (const at::Tensor& v : value) {
    first.push_back(at::zeros_like(v));
    second.push_back(at::zeros_like(v));
  }
  const AdamW adamw{.lr = 0.02, .weight_decay = 0.3};
  for (std::int64_t number = 1; number <= 3; ++number) {
    step(trained.student, trained.parameters, losses().front(), batch,
         {.step = number, .micro_batch = 2, .clip = 0, .adamw = adamw});
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Slot& slot = trained.parameters.slots()[i];
      const at::Tensor g = trained.parameters.gradient(slot);
      const bool decays = slot.shape.size() == 2 && slot.key.first != Part::kTokenEmbedding;
      value[i] = value[i] * (1 - adamw.lr * (decays ? adamw.weight_decay : 0));
      first[i] = 0.9 * first[i] + 0.1 * g;
      second[i] = 0.95 * second[i] + 0.05 * g * g;
      const at::Tensor m = first[i] / (1 - std::pow(0.9, number)),
                       v = second[i] / (1 - std::pow(0.95, number));
      value[i] = value[i] - adamw.lr * m / (v.sqrt() + 1e-8);
    }
    EXPECT_LT(largest_difference(masters(trained.parameters), value), 1e-10) << "step " << number;
  }
}

TEST(Step, ClipsTheGlobalNorm) {
  const family::ModelConfig config = small_config();
  Trained trained(config);
  StepSettings clipped = settings(2);
  clipped.clip = 1e-3;
  const StepResult result =
      step(trained.student, trained.parameters, losses().front(), make_batch(config, 2, 7), clipped);
  EXPECT_GT(result.gradient_norm, 1e-2);
  EXPECT_NEAR(trained.parameters.gradient_norm(), 1e-3, 1e-12);
}

TEST(Step, AGradientThatIsNotFiniteChangesNothing) {
  const family::ModelConfig config = small_config();
  Trained trained(config);
  const Slot& slot = trained.parameters.slots().front();
  trained.parameters.master(slot).view(-1)[0].fill_(std::numeric_limits<double>::quiet_NaN());
  const auto before = masters(trained.parameters);
  const StepResult result =
      step(trained.student, trained.parameters, losses().front(), make_batch(config, 2, 7), settings(2));
  EXPECT_FALSE(result.updated);
  const auto after = masters(trained.parameters);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(at::equal(before[i].nan_to_num(7), after[i].nan_to_num(7)));
}

TEST(Step, Bfloat16FollowsFloat32) {
  const family::ModelConfig config = small_config();
  Trained half(config, at::kFloat, at::kBFloat16), full(config, at::kFloat, at::kFloat);
  const Batch batch = make_batch(config, 4, 16);
  for (std::int64_t number = 1; number <= 30; ++number) {
    StepSettings s = settings(2);
    s.step = number;
    const double a = step(half.student, half.parameters, losses().front(), batch, s).loss;
    const double b = step(full.student, full.parameters, losses().front(), batch, s).loss;
    EXPECT_NEAR(a, b, 0.05 * b + 0.02) << "step " << number;
  }
  for (const Slot& slot : half.parameters.slots())
    EXPECT_TRUE(
        at::equal(half.parameters.compute().at(slot.key), half.parameters.master(slot).to(at::kBFloat16)));
}

TEST(Step, LearnsABatchByHeart) {
  const family::ModelConfig config = small_config();
  Trained trained(config, at::kFloat, at::kFloat);
  const Batch batch = make_batch(config, 2, 8);
  double loss = 0;
  for (std::int64_t number = 1; number <= 100; ++number) {
    StepSettings s = settings(2);
    s.step = number;
    loss = step(trained.student, trained.parameters, losses().front(), batch, s).loss;
  }
  EXPECT_LT(loss, 0.05);
}

}  // namespace
}  // namespace regroup::uptrain
