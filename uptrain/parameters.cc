#include "uptrain/parameters.h"

#include <algorithm>
#include <array>

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

std::vector<Slot> make_slots(const model::Weights& weights) {
  std::vector<Slot> slots;
  for (const auto& [key, weight] : weights)
    slots.push_back({.key = key,
                     .shape = weight.sizes().vec(),
                     .elements = weight.numel(),
                     .decays = decays(key.first, weight)});
  std::ranges::stable_partition(slots, &Slot::decays);
  std::int64_t offset = 0;
  for (Slot& slot : slots) {
    slot.offset = offset;
    offset += (slot.elements + kAlignment - 1) / kAlignment * kAlignment;
  }
  return slots;
}

}  // namespace

at::Tensor Parameters::view(const at::Tensor& flat, const Slot& slot) {
  return flat.narrow(0, slot.offset, slot.elements).view(slot.shape);
}

Parameters::Parameters(const model::Weights& weights, at::ScalarType compute) : slots_(make_slots(weights)) {
  check(!slots_.empty(), "a model without weights cannot be trained");
  const at::NoGradGuard no_grad;
  const Slot& last = slots_.back();
  const auto first_kept = std::ranges::find(slots_, false, &Slot::decays);
  const std::int64_t size = last.offset + last.elements;
  decayed_ = first_kept == slots_.end() ? size : first_kept->offset;
  master_ = at::zeros({size}, weights.begin()->second.options());
  for (const Slot& slot : slots_) view(master_, slot).copy_(weights.at(slot.key));
  gradient_ = at::zeros_like(master_);
  first_ = at::zeros_like(master_);
  second_ = at::zeros_like(master_);
  copy_ = compute == master_.scalar_type() ? master_ : master_.to(compute);
  for (const Slot& slot : slots_) compute_[slot.key] = view(copy_, slot).detach().set_requires_grad(true);
}

at::Tensor Parameters::gradient(const model::WeightKey& key) const {
  const auto slot = std::ranges::find(slots_, key, &Slot::key);
  check(slot != slots_.end(), "no weight plays this part");
  return gradient(*slot);
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

void Parameters::update(const AdamW& adamw, std::int64_t step) {
  const at::NoGradGuard no_grad;
  const auto part = [&](const at::Tensor& flat, bool decayed) {
    return decayed ? flat.narrow(0, 0, decayed_) : flat.narrow(0, decayed_, flat.numel() - decayed_);
  };
  const at::Tensor count = at::full({}, static_cast<double>(step), at::kFloat).to(master_.device());
  for (const bool decayed : {true, false}) {
    const at::Tensor master = part(master_, decayed);
    if (master.numel() == 0) continue;
    at::_fused_adamw_({master}, {part(gradient_, decayed)}, {part(first_, decayed)}, {part(second_, decayed)},
                      {}, {count}, adamw.lr, adamw.beta1, adamw.beta2, decayed ? adamw.weight_decay : 0,
                      adamw.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  refresh_compute();
}

void Parameters::refresh_compute() {
  const at::NoGradGuard no_grad;
  if (copy_.scalar_type() != master_.scalar_type()) copy_.copy_(master_);
}

}  // namespace regroup::uptrain
