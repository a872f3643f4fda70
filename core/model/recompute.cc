#include "core/model/recompute.h"

#include <torch/csrc/autograd/custom_function.h>

namespace regroup::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local bool recompute = false;

// A layer on its way through the autograd graph, which holds values that LibTorch knows.
struct LayerHolder : torch::CustomClassHolder {
  explicit LayerHolder(LayerFunction layer_in) : layer(std::move(layer_in)) {}
  LayerFunction layer;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  // Without recording, as LibTorch runs it. `anchor` requires gradients, so that a backward pass comes by
  // even where x needs none and weights do.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*anchor*/,
                            const c10::intrusive_ptr<LayerHolder>& holder) {
    context->save_for_backward({x});
    context->saved_data["layer"] = c10::IValue::make_capsule(holder);
    return holder->layer(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto holder =
        c10::static_intrusive_pointer_cast<LayerHolder>(context->saved_data["layer"].toCapsule());
    const at::Tensor saved = context->get_saved_variables()[0];
    const at::Tensor x = saved.detach().set_requires_grad(saved.requires_grad());
    {
      const at::AutoGradMode grad_mode(true);
      const at::Tensor y = holder->layer(x);
      if (y.requires_grad()) y.backward(gradients[0]);
    }
    return {x.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RecomputeGuard::RecomputeGuard(bool on) : before_(recompute) {
  recompute = on;
}

RecomputeGuard::~RecomputeGuard() {
  recompute = before_;
}

bool recomputing() {
  return recompute && at::GradMode::is_enabled();
}

at::Tensor recomputed(const LayerFunction& layer, const at::Tensor& x_BTM) {
  const at::Tensor anchor = at::empty({0}, x_BTM.options()).set_requires_grad(true);
  return Recomputed::apply(x_BTM, anchor, c10::make_intrusive<LayerHolder>(layer));
}

}  // namespace regroup::model
