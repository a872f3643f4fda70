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

const Bf16* read(const at::Tensor& x) {
  return static_cast<const Bf16*>(x.const_data_ptr());
}

Bf16* write(const at::Tensor& x) {
  return static_cast<Bf16*>(x.mutable_data_ptr());
}

// Rows a thread takes at least: below that, starting it costs more than it does.
std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 16384 / width);
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_in, const at::Tensor& weight_in,
                            double epsilon) {
    const at::Tensor x = x_in.contiguous(), weight = weight_in.contiguous();
    const std::int64_t width = x.size(-1), rows = x.numel() / width;
    const at::Tensor y = at::empty_like(x), reciprocal_N = at::empty({rows}, x.options().dtype(at::kFloat));
    const Bf16 *from = read(x), *scale = read(weight);
    Bf16* to = write(y);
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
    const Bf16 *from = read(x), *scale = read(weight), *gradient = read(dy);
    Bf16* to = write(dx);
    at::parallel_for(0, blocks, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first * kBlock; i < std::min(last * kBlock, rows); ++i)
        kernels::rms_norm_backward(from + i * width, scale, gradient + i * width, reciprocal[i],
                                   to + i * width, partial + i / kBlock * width, width);
    });
    return {dx, partial_KM.sum(0).to(weight.scalar_type()), at::Tensor()};
  }
};

struct Swiglu : Function<Swiglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_in, const at::Tensor& up_in) {
    const at::Tensor gate = gate_in.contiguous(), up = up_in.contiguous(), y = at::empty_like(gate);
    const Bf16 *g = read(gate), *u = read(up);
    Bf16* to = write(y);
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
    const Bf16 *g = read(saved[0]), *u = read(saved[1]), *d = read(dy);
    Bf16 *to_gate = write(dgate), *to_up = write(dup);
    at::parallel_for(0, dy.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::swiglu_backward(g + begin, u + begin, d + begin, to_gate + begin, to_up + begin, end - begin);
    });
    return {dgate, dup};
  }

  static constexpr std::int64_t kGrain = 16384;
};

// Turns all heads by the angle, or back by it.
at::Tensor turn(const at::Tensor& x_BHTD, const at::Tensor& cos_TC, const at::Tensor& sin_TC, float sign) {
  const std::int64_t B = x_BHTD.size(0), H = x_BHTD.size(1), T = x_BHTD.size(2), D = x_BHTD.size(3),
                     C = D / 2;
  const at::Tensor y_BTHD = at::empty({B, T, H, D}, x_BHTD.options());
  const Bf16* from = read(x_BHTD);
  Bf16* to = write(y_BTHD);
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

struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_BHTD, const at::Tensor& cos_TC,
                            const at::Tensor& sin_TC) {
    context->save_for_backward({cos_TC, sin_TC});
    return turn(x_BHTD, cos_TC, sin_TC, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].stride(-1) == 1 ? gradients[0] : gradients[0].contiguous();
    return {turn(dy, saved[0], saved[1], -1), at::Tensor(), at::Tensor()};
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
    const Bf16* from = read(dy);
    auto* sum = sum_VM.mutable_data_ptr<float>();
    Bf16* to = write(table);
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

}  // namespace

bool applies(const at::Tensor& x) {
  return x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && x.numel() > 0 && x.stride(-1) == 1;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_M, double epsilon) {
  check(applies(x) && applies(weight_M), "a fused norm of what it does not take");
  return RmsNorm::apply(x, weight_M, epsilon);
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  check(applies(gate) && applies(up), "a fused product of what it does not take");
  return Swiglu::apply(gate, up);
}

at::Tensor rotate(const at::Tensor& heads_BHTD, const at::Tensor& cos_TC, const at::Tensor& sin_TC) {
  check(applies(heads_BHTD) && cos_TC.scalar_type() == at::kFloat && sin_TC.scalar_type() == at::kFloat,
        "a fused rotation of what it does not take");
  return Rotate::apply(heads_BHTD, cos_TC.contiguous(), sin_TC.contiguous());
}

at::Tensor embedding(const at::Tensor& table_VM, const at::Tensor& tokens) {
  check(applies(table_VM), "a fused embedding of what it does not take");
  return Embedding::apply(table_VM, tokens);
}

}  // namespace regroup::model::fused
