#include "uptrain/parameters.h"

#include <algorithm>
#include <functional>
#include <tuple>

#include "core/base/error.h"
#include "core/model/accumulate.h"

namespace regroup::uptrain {
namespace {

// Matrix products like their operands to start on a cache line.
constexpr std::int64_t kAlignment = 64;

// Matrices do, norms, biases and look-up tables do not.
bool decays(family::Part part, const at::Tensor& weight) {
  switch (part) {
    case family::Part::kTokenEmbedding:
    case family::Part::kPositionEmbedding:
    case family::Part::kQueryNorm:
    case family::Part::kKeyNorm:
      return false;
    default:
      return weight.dim() >= 2;
  }
}

UpdateRule rule_of(const Slot& slot) {
  const bool matrix = slot.decays && slot.key.first != family::Part::kLmHead;
  return matrix ? slot.treatment.of_matrices : UpdateRule::kAdamW;
}

}  // namespace

// Trained slots first, of these AdamW's first, so that each buffer is as long as it needs to be.
std::vector<Slot> make_slots(const model::Weights& weights, const Treatments& treatments) {
  std::vector<Slot> slots;
  for (const auto& [key, weight] : weights)
    slots.push_back({.key = key,
                     .shape = weight.sizes().vec(),
                     .elements = weight.numel(),
                     .treatment = treatments ? treatments(key) : Treatment{},
                     .decays = decays(key.first, weight)});
  for (Slot& slot : slots) slot.rule = rule_of(slot);
  std::ranges::stable_sort(slots, std::greater(), [](const Slot& slot) {
    return std::tuple(slot.treatment.trained, slot.rule == UpdateRule::kAdamW, slot.decays,
                      slot.treatment.lr_multiplier);
  });
  std::int64_t offset = 0;
  for (Slot& slot : slots) {
    slot.offset = offset;
    offset += (slot.elements + kAlignment - 1) / kAlignment * kAlignment;
  }
  return slots;
}

Counts count(std::span<const Slot> slots) {
  Counts counts;
  for (const Slot& slot : slots) {
    counts.all += slot.elements;
    if (!slot.treatment.trained) continue;
    counts.trained += slot.elements;
    if (slot.rule == UpdateRule::kAdamW) counts.second_moments += slot.elements;
  }
  return counts;
}

at::Tensor Parameters::view(const at::Tensor& flat, const Slot& slot) {
  return flat.narrow(0, slot.offset, slot.elements).view(slot.shape);
}

Parameters::Parameters(model::Weights weights, at::ScalarType compute, const Treatments& treatments)
    : slots_(make_slots(weights, treatments)) {
  check(!slots_.empty(), "a model without weights cannot be trained");
  const at::NoGradGuard no_grad;
  std::int64_t trained = 0, adamw = 0;  // where trained slots end, and where AdamW's do
  for (const Slot& slot : slots_) {
    if (!slot.treatment.trained) break;
    trained = slot.offset + slot.elements;
    if (slot.rule != UpdateRule::kAdamW) continue;
    adamw = trained;
    const double multiplier = slot.treatment.lr_multiplier;
    if (groups_.empty() || groups_.back().decays != slot.decays || groups_.back().lr_multiplier != multiplier)
      groups_.push_back({.offset = slot.offset, .lr_multiplier = multiplier, .decays = slot.decays});
    groups_.back().elements = adamw - groups_.back().offset;
  }
  const Slot& last = slots_.back();
  master_ = at::zeros({last.offset + last.elements}, weights.begin()->second.options());
  for (const Slot& slot : slots_) view(master_, slot).copy_(weights.extract(slot.key).mapped());
  gradient_ = at::zeros({trained}, master_.options());
  first_ = at::zeros_like(gradient_);
  second_ = at::zeros({adamw}, master_.options());
  copy_ = compute == master_.scalar_type() ? master_ : master_.to(compute);
  for (const Slot& slot : slots_)
    compute_[slot.key] = view(copy_, slot).detach().set_requires_grad(slot.treatment.trained);
}

at::Tensor Parameters::gradient(const model::WeightKey& key) const {
  const auto slot = std::ranges::find(slots_, key, &Slot::key);
  check(slot != slots_.end(), "no weight plays this part");
  return slot->treatment.trained ? gradient(*slot) : at::Tensor();
}

std::int64_t Parameters::trained_elements() const {
  std::int64_t sum = 0;
  for (const Slot& slot : slots_) sum += slot.treatment.trained ? slot.elements : 0;
  return sum;
}

void Parameters::zero_gradient() {
  gradient_.zero_();
}

void Parameters::gather_gradients() {
  const at::NoGradGuard no_grad;
  for (const Slot& slot : slots_) {
    at::Tensor& at_leaf = compute_.at(slot.key).mutable_grad();
    if (!at_leaf.defined()) continue;
    model::accumulate(at_leaf, gradient(slot));
    at_leaf.reset();
  }
}

double Parameters::gradient_norm() const {
  return at::linalg_vector_norm(gradient_, 2, {}, false, at::kDouble).item<double>();
}

void Parameters::scale_gradient(double factor) {
  gradient_.mul_(factor);
}

void Parameters::update(const OptimizerSettings& settings, std::int64_t step) {
  const at::NoGradGuard no_grad;
  const at::Tensor count = at::full({}, static_cast<double>(step), at::kFloat).to(master_.device());
  for (const Group& group : groups_) {
    const auto part = [&](const at::Tensor& flat) { return flat.narrow(0, group.offset, group.elements); };
    at::_fused_adamw_({part(master_)}, {part(gradient_)}, {part(first_)}, {part(second_)}, {}, {count},
                      settings.lr * group.lr_multiplier, settings.beta1, settings.beta2,
                      group.decays ? settings.weight_decay : 0, settings.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  for (const Slot& slot : slots_)
    if (slot.treatment.trained && slot.rule == UpdateRule::kMuon) update_matrix(slot, settings);
  refresh_compute();
}

void Parameters::update_matrix(const Slot& slot, OptimizerSettings settings) {
  settings.lr *= slot.treatment.lr_multiplier;
  at::Tensor momentum = first_moment(slot), matrices = master(slot);
  muon_update(settings, gradient(slot), momentum, matrices);
}

void Parameters::refresh_compute() {
  const at::NoGradGuard no_grad;
  if (copy_.scalar_type() != master_.scalar_type()) copy_.copy_(master_);
}

}  // namespace regroup::uptrain
