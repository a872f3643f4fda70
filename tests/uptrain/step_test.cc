#include "uptrain/step.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

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

const Objective kNextToken{.loss = &loss("cross-entropy", false)};

struct StepResult {
  double loss = 0, gradient_norm = 0;
};

StepResult step(Trained& trained, const Batch& batch, const StepSettings& settings,
                const Objective& objective = kNextToken) {
  const StepMeasures measures =
      measure_gradients(trained.student, trained.parameters, objective, batch, settings.micro_batch);
  update_weights(trained.parameters, measures, settings);
  return {measures.mean.objective, measures.gradient_norm};
}

struct Losses {
  double first = 0, last = 0;
};

StepSettings settings(std::int64_t micro_batch, double lr = 0.01) {
  return {.step = 1, .micro_batch = micro_batch, .clip = 0, .optimizer = {.lr = lr}};
}

// The same batch again and again.
Losses train(Trained& trained, const Batch& batch, std::int64_t steps, std::int64_t micro_batch,
             const Objective& objective = kNextToken) {
  Losses losses;
  for (std::int64_t number = 1; number <= steps; ++number) {
    StepSettings s = settings(micro_batch);
    s.step = number;
    losses.last = step(trained, batch, s, objective).loss;
    if (number == 1) losses.first = losses.last;
  }
  return losses;
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
    const StepResult result = step(trained, batch, settings(2, 0));
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
  step(whole, batch, settings(5));
  step(parts, batch, settings(2));
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
  const OptimizerSettings adamw{.lr = 0.02, .weight_decay = 0.3};
  for (std::int64_t number = 1; number <= 3; ++number) {
    step(trained, batch, {.step = number, .micro_batch = 2, .clip = 0, .optimizer = adamw});
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
  const StepResult result = step(trained, make_batch(config, 2, 7), clipped);
  EXPECT_GT(result.gradient_norm, 1e-2);
  EXPECT_NEAR(trained.parameters.gradient_norm(), 1e-3, 1e-12);
}

TEST(Step, SaysWhenAGradientIsNotFinite) {
  const family::ModelConfig config = small_config();
  Trained trained(config);
  const auto measure = [&] {
    return measure_gradients(trained.student, trained.parameters, kNextToken, make_batch(config, 2, 7), 2);
  };
  EXPECT_TRUE(measure().finite());
  const Slot& slot = trained.parameters.slots().front();
  trained.parameters.master(slot).view(-1)[0].fill_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(measure().finite());
}

TEST(Step, Bfloat16FollowsFloat32) {
  const family::ModelConfig config = small_config();
  Trained half(config, at::kFloat, at::kBFloat16), full(config, at::kFloat, at::kFloat);
  const Batch batch = make_batch(config, 4, 16);
  for (std::int64_t number = 1; number <= 30; ++number) {
    StepSettings s = settings(2);
    s.step = number;
    const double a = step(half, batch, s).loss;
    const double b = step(full, batch, s).loss;
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
  EXPECT_LT(train(trained, batch, 100, 2).last, 0.05);
}

// The plain mean divergence over all logits at once.
at::Tensor plain_mean_divergence(const model::Decoder& student, const model::Decoder& teacher,
                                 const Batch& batch) {
  const auto log_softmax = [&](const model::Decoder& of) {
    return at::log_softmax(of.logits(of.hidden_states(batch.inputs_BT)).flatten(0, 1), 1);
  };
  const at::Tensor log_p = log_softmax(teacher).detach(), log_q = log_softmax(student);
  return (log_p.exp() * (log_p - log_q)).sum(1).mean();
}

TEST(Step, GradientsOfDistillationAreThoseOfThePlainMeanForEveryWeight) {
  const family::ModelConfig config = small_config(), wider = small_config(4);
  Trained trained(config), plain(config);
  const model::Decoder teacher(wider, random_weights(wider, 5));
  const Batch batch = make_batch(config, 3, 7);
  const at::Tensor divergence = plain_mean_divergence(plain.student, teacher, batch);
  divergence.backward();
  const StepResult result =
      step(trained, batch, settings(2, 0), {.loss = &loss("", true), .teacher = &teacher});
  EXPECT_NEAR(result.loss, divergence.item<double>(), 1e-12);
  for (const Slot& slot : trained.parameters.slots())
    EXPECT_LT((trained.parameters.gradient(slot) - plain.parameters.compute().at(slot.key).grad())
                  .abs()
                  .max()
                  .item<double>(),
              1e-12);
}

TEST(Step, DistillationFindsItsTeacher) {
  const family::ModelConfig config = small_config();
  Trained trained(config, at::kFloat, at::kFloat);
  const model::Decoder teacher(config, random_weights(config, 5, at::kFloat));
  const Batch batch = make_batch(config, 4, 8);
  const Objective objective{.loss = &loss("kl", true), .teacher = &teacher};
  const Losses losses = train(trained, batch, 100, 4, objective);
  EXPECT_LT(losses.last, 0.02 * losses.first);
}

TEST(Step, MatchingTeachesAttentionAloneAndWholly) {
  const family::ModelConfig config = small_config();
  Trained trained(config, at::kFloat, at::kFloat);
  // The teacher differs in attention only, so that matching it makes the two equal.
  model::Weights weights = random_weights(config, 0, at::kFloat);
  const model::Weights others = random_weights(config, 5, at::kFloat);
  for (auto& [key, weight] : weights)
    if (key.first == Part::kKeyWeight || key.first == Part::kValueWeight) weight = others.at(key);
  const model::Decoder teacher(config, weights);
  const Batch batch = make_batch(config, 8, 12);
  const Objective objective{.loss = &matching_loss(), .teacher = &teacher};
  const auto before = masters(trained.parameters);
  const Losses losses = train(trained, batch, 150, 3, objective);
  EXPECT_GT(losses.first, 0.3);
  EXPECT_LT(losses.last, 0.02 * losses.first);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Slot& slot = trained.parameters.slots()[i];
    if (slot.key.first == Part::kUpWeight || slot.key.first == Part::kTokenEmbedding) {
      EXPECT_TRUE(at::equal(before[i], trained.parameters.master(slot)));
    }
  }
}

TEST(Step, MatchingDoesNotDependOnMicroBatches) {
  const family::ModelConfig config = small_config();
  Trained one(config);
  const model::Decoder teacher(config, random_weights(config, 5));
  const Batch batch = make_batch(config, 4, 9);
  const Objective objective{.loss = &matching_loss(), .teacher = &teacher};
  const StepMeasures alone = measure_gradients(one.student, one.parameters, objective, batch, 1);
  for (const std::int64_t micro_batch : {2, 3, 4}) {
    const StepMeasures measures =
        measure_gradients(one.student, one.parameters, objective, batch, micro_batch);
    EXPECT_NEAR(measures.gradient_norm, alone.gradient_norm, 1e-12);
    EXPECT_NEAR(measures.mean.objective, alone.mean.objective, 1e-12);
  }
}

// What fills up a window counts for nothing, whatever is minimised.
TEST(Step, FillersCountForNothing) {
  const family::ModelConfig config = small_config();
  const model::Decoder teacher(config, random_weights(config, 5));
  const Batch batch = make_batch(config, 2, 6);
  const auto filled = [](const at::Tensor& ids_BT, std::int64_t with) {
    return at::cat({ids_BT, at::full({ids_BT.size(0), 5}, with, at::kLong)}, 1);
  };
  const Batch longer{.inputs_BT = filled(batch.inputs_BT, 3), .targets_BT = filled(batch.targets_BT, -1)};
  for (const Loss& each : losses()) {
    const Objective objective{.loss = &each, .teacher = &teacher};
    Trained one(config), other(config);
    const StepMeasures a = measure_gradients(one.student, one.parameters, objective, batch, 2),
                       b = measure_gradients(other.student, other.parameters, objective, longer, 2);
    EXPECT_NEAR(a.mean.objective, b.mean.objective, 1e-12) << each.name;
    EXPECT_NEAR(a.gradient_norm, b.gradient_norm, 1e-12) << each.name;
  }
}

// A teacher of another family may count positions from elsewhere: OPT's embeddings begin at row 2.
TEST(Step, MatchingReadsTheTeacherAsItsOwnConfigurationSays) {
  family::ModelConfig config = small_config(), theirs = config;
  config.positions = theirs.positions = family::Positions::kLearned;
  theirs.position_offset = 2;
  model::Weights weights = random_weights(theirs, 0);
  const at::Tensor rows_PM = at::randn({32, config.hidden}, at::kDouble);
  weights[{Part::kPositionEmbedding, -1}] = rows_PM;
  const model::Decoder teacher(theirs, weights);
  weights[{Part::kPositionEmbedding, -1}] = rows_PM.narrow(0, 2, 30).contiguous();
  Parameters parameters(weights, at::kDouble);
  const model::Decoder student(config, parameters.compute());
  const StepMeasures measures = measure_gradients(
      student, parameters, {.loss = &matching_loss(), .teacher = &teacher}, make_batch(config, 2, 6), 2);
  EXPECT_NEAR(measures.mean.objective, 0, 1e-20);
}

TEST(Step, TrainsWhatItShouldAtTheRateItShould) {
  const family::ModelConfig config = small_config();
  const auto is_key = [](const model::WeightKey& key) { return key.first == Part::kKeyWeight; };
  const auto is_value = [](const model::WeightKey& key) { return key.first == Part::kValueWeight; };
  Parameters chosen(random_weights(config), at::kDouble, [&](const model::WeightKey& key) {
    return Treatment{.trained = is_key(key) || is_value(key), .lr_multiplier = is_key(key) ? 3.0 : 1.0};
  });
  Trained all(config);
  const model::Decoder student(config, chosen.compute());
  const Batch batch = make_batch(config, 2, 7);
  const auto before = masters(chosen);
  const StepMeasures measures = measure_gradients(student, chosen, kNextToken, batch, 2);
  update_weights(chosen, measures, settings(2, 0.01));
  step(all, batch, settings(2, 0.01));
  std::int64_t trained = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Slot& slot = chosen.slots()[i];
    const at::Tensor moved = chosen.master(slot) - before[i];
    const auto same = std::ranges::find(all.parameters.slots(), slot.key, &Slot::key);
    const at::Tensor usual = all.parameters.master(*same) - before[i];
    const double times = is_key(slot.key) ? 3 : is_value(slot.key) ? 1 : 0;
    EXPECT_LT((moved - times * usual).abs().max().item<double>(), 1e-12);
    trained += times > 0 ? slot.elements : 0;
  }
  EXPECT_EQ(chosen.trained_elements(), trained);
}

// Two documents in one masked window are the two of them apart, each filled up with what counts for nothing.
TEST(Step, MaskedDocumentsAreDocumentsApart) {
  const family::ModelConfig config = small_config(), wider = small_config(4);
  const model::Decoder teacher(wider, random_weights(wider, 5));
  const Batch whole = make_batch(config, 1, 10);
  Batch masked{.inputs_BT = whole.inputs_BT, .targets_BT = whole.targets_BT.clone(), .documents = {{4, 6}}};
  masked.targets_BT[0][3] = -1;
  Batch apart{.inputs_BT = at::zeros({2, 6}, at::kLong), .targets_BT = at::full({2, 6}, -1, at::kLong)};
  for (const auto& [row, begin, length] : {std::tuple{0, 0, 4}, {1, 4, 6}}) {
    apart.inputs_BT[row].narrow(0, 0, length).copy_(whole.inputs_BT[0].narrow(0, begin, length));
    apart.targets_BT[row].narrow(0, 0, length).copy_(masked.targets_BT[0].narrow(0, begin, length));
  }
  for (const char* name : {"cross-entropy", "kl"}) {
    const Objective objective{.loss = &loss(name, true), .teacher = &teacher};
    Trained one(config), other(config);
    const double a = step(one, masked, settings(1), objective).loss;
    EXPECT_NEAR(a, step(other, apart, settings(1), objective).loss, 1e-9) << name;
    EXPECT_LT(largest_difference(masters(one.parameters), masters(other.parameters)), 1e-6) << name;
    Trained unmasked(config);
    EXPECT_GT(std::abs(a - step(unmasked, whole, settings(1), objective).loss), 1e-3) << name;
  }
}

}  // namespace
}  // namespace regroup::uptrain
