#include "core/model/fused.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/model/kernels.h"

namespace regroup::model::fused {
namespace {

using kernels::Bf16;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Elements of a tensor: Bf16 or float, as it has them.
template <typename Element>
const Element* read(const at::Tensor& x) {
  return static_cast<const Element*>(x.const_data_ptr());
}

template <typename Element>
Element* write(const at::Tensor& x) {
  return static_cast<Element*>(x.mutable_data_ptr());
}

// Rows a thread takes at least: below that, starting it costs more than it does.
std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 16384 / width);
}

template <typename Element>
struct RmsNorm : Function<RmsNorm<Element>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_in, const at::Tensor& weight_in,
                            double epsilon) {
    const at::Tensor x = x_in.contiguous(), weight = weight_in.contiguous();
    const std::int64_t width = x.size(-1), rows = x.numel() / width;
    const at::Tensor y = at::empty_like(x), reciprocal_N = at::empty({rows}, x.options().dtype(at::kFloat));
    const Element *from = read<Element>(x), *scale = read<Element>(weight);
    Element* to = write<Element>(y);
    auto* reciprocal = reciprocal_N.mutable_data_ptr<float>();
    at::parallel_for(0, rows, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        reciprocal[i] =
            kernels::rms_norm(from + i * width, scale, to + i * width, width, static_cast<float>(epsilon));
    });
    context->save_for_backward({x, weight, reciprocal_N});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], dy = gradients[0].contiguous();
    const std::int64_t width = x.size(-1), rows = x.numel() / width;
    const at::Tensor dx = at::empty_like(x);
    // One partial sum a block of rows, not a thread: the result does not depend on how threads share the
    // rows.
    constexpr std::int64_t kBlock = 256;
    const std::int64_t blocks = (rows + kBlock - 1) / kBlock;
    const at::Tensor partial_KM = at::zeros({blocks, width}, x.options().dtype(at::kFloat));
    auto* partial = partial_KM.mutable_data_ptr<float>();
    const auto* reciprocal = saved[2].const_data_ptr<float>();
    const Element *from = read<Element>(x), *scale = read<Element>(weight), *gradient = read<Element>(dy);
    Element* to = write<Element>(dx);
    at::parallel_for(0, blocks, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first * kBlock; i < std::min(last * kBlock, rows); ++i)
        kernels::rms_norm_backward(from + i * width, scale, gradient + i * width, reciprocal[i],
                                   to + i * width, partial + i / kBlock * width, width);
    });
    return {dx, partial_KM.sum(0).to(weight.scalar_type()), at::Tensor()};
  }
};

template <typename Element>
struct Swiglu : Function<Swiglu<Element>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_in, const at::Tensor& up_in) {
    const at::Tensor gate = gate_in.contiguous(), up = up_in.contiguous(), y = at::empty_like(gate);
    const Element *g = read<Element>(gate), *u = read<Element>(up);
    Element* to = write<Element>(y);
    at::parallel_for(0, gate.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::swiglu(g + begin, u + begin, to + begin, end - begin);
    });
    context->save_for_backward({gate, up});
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    const Element *g = read<Element>(saved[0]), *u = read<Element>(saved[1]), *d = read<Element>(dy);
    Element *to_gate = write<Element>(dgate), *to_up = write<Element>(dup);
    at::parallel_for(0, dy.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::swiglu_backward(g + begin, u + begin, d + begin, to_gate + begin, to_up + begin, end - begin);
    });
    return {dgate, dup};
  }

  static constexpr std::int64_t kGrain = 16384;
};

// Turns all heads by the angle, or back by it.
template <typename Element>
at::Tensor turn(const at::Tensor& x_BHTD, const at::Tensor& cos_TC, const at::Tensor& sin_TC, float sign) {
  const std::int64_t B = x_BHTD.size(0), H = x_BHTD.size(1), T = x_BHTD.size(2), D = x_BHTD.size(3),
                     C = D / 2;
  const at::Tensor y_BTHD = at::empty({B, T, H, D}, x_BHTD.options());
  const Element* from = read<Element>(x_BHTD);
  Element* to = write<Element>(y_BTHD);
  const auto *cosine = cos_TC.const_data_ptr<float>(), *sine = sin_TC.const_data_ptr<float>();
  const std::int64_t sb = x_BHTD.stride(0), sh = x_BHTD.stride(1), st = x_BHTD.stride(2);
  at::parallel_for(0, B * T, row_grain(H * D), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t b = i / T, t = i % T;
      for (std::int64_t h = 0; h < H; ++h)
        kernels::rotate(from + b * sb + h * sh + t * st, cosine + t * C, sine + t * C, sign,
                        to + (i * H + h) * D, C);
    }
  });
  return y_BTHD.transpose(1, 2);
}

template <typename Element>
struct Rotate : Function<Rotate<Element>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_BHTD, const at::Tensor& cos_TC,
                            const at::Tensor& sin_TC) {
    context->save_for_backward({cos_TC, sin_TC});
    return turn<Element>(x_BHTD, cos_TC, sin_TC, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].stride(-1) == 1 ? gradients[0] : gradients[0].contiguous();
    return {turn<Element>(dy, saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
  }
};

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& table_VM, const at::Tensor& tokens) {
    context->save_for_backward({tokens.contiguous()});
    context->saved_data["vocab"] = table_VM.size(0);
    return at::embedding(table_VM, tokens);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor tokens = context->get_saved_variables()[0], dy = gradients[0].contiguous();
    const std::int64_t vocab = context->saved_data["vocab"].toInt(), width = dy.size(-1),
                       count = tokens.numel();
    const at::Tensor sum_VM = at::zeros({vocab, width}, dy.options().dtype(at::kFloat));
    const at::Tensor table = at::empty({vocab, width}, dy.options());
    const auto* ids = tokens.const_data_ptr<std::int64_t>();
    const Bf16* from = read<Bf16>(dy);
    auto* sum = sum_VM.mutable_data_ptr<float>();
    Bf16* to = write<Bf16>(table);
    // Threads share the vocabulary, so each row is summed in the order of the text.
    at::parallel_for(0, vocab, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < count; ++i)
        if (ids[i] >= begin && ids[i] < end)
          kernels::accumulate(from + i * width, sum + ids[i] * width, width);
      kernels::scale_to_bf16(sum + begin * width, to + begin * width, (end - begin) * width, 1);
    });
    return {table, at::Tensor()};
  }
};

bool is_bf16(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16;
}

bool same_type(const at::Tensor& x, const at::Tensor& y) {
  return x.scalar_type() == y.scalar_type();
}

}  // namespace

bool applies(const at::Tensor& x) {
  return (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat) && x.device().is_cpu() &&
         x.numel() > 0 && x.stride(-1) == 1;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon) {
  check(applies(x) && applies(weight_M) && same_type(x, weight_M), "a fused norm of what it does not take");
  return is_bf16(x) ? RmsNorm<Bf16>::apply(x, weight_M, epsilon)
                    : RmsNorm<float>::apply(x, weight_M, epsilon);
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  check(applies(gate) && applies(up) && same_type(gate, up), "a fused product of what it does not take");
  return is_bf16(gate) ? Swiglu<Bf16>::apply(gate, up) : Swiglu<float>::apply(gate, up);
}

at::Tensor rotate(const at::Tensor& heads_BHTD, const at::Tensor& cos_TC, const at::Tensor& sin_TC) {
  check(applies(heads_BHTD) && cos_TC.scalar_type() == at::kFloat && sin_TC.scalar_type() == at::kFloat,
        "a fused rotation of what it does not take");
  const at::Tensor cosine = cos_TC.contiguous(), sine = sin_TC.contiguous();
  return is_bf16(heads_BHTD) ? Rotate<Bf16>::apply(heads_BHTD, cosine, sine)
                             : Rotate<float>::apply(heads_BHTD, cosine, sine);
}

at::Tensor embedding(const at::Tensor& table_VM, const at::Tensor& tokens) {
  check(applies(table_VM), "a fused embedding of what it does not take");
  // LibTorch sums a float32 table's gradient as it is.
  return is_bf16(table_VM) ? Embedding::apply(table_VM, tokens) : at::embedding(table_VM, tokens);
}

}  // namespace regroup::model::fused
