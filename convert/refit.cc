#include "convert/refit.h"

#include <algorithm>
#include <array>

#include "convert/head_merge.h"
#include "convert/refits/refits.h"
#include "core/base/error.h"
#include "core/base/table.h"
#include "core/model/decoder_layer.h"

namespace regroup::convert {
namespace {

using family::Part;

constexpr std::array kRefits = {
    Refit{"scale", "one temperature for the keys of a layer and one gain for its values", 4, false,
          fit_scale},
    Refit{"query", "query heads by convex regression on the source's attention", 1, true, fit_query},
    Refit{"ridge", "output projections by ridge regression", 1, false, fit_ridge},
    Refit{"reconstruct", "all four projections by gradient descent", 3 * kReconstructEpochs, false,
          fit_reconstruct},
};

}  // namespace

at::Tensor RefitProblem::input(std::int64_t begin, std::int64_t count) const {
  return model::DecoderLayer(config, fixed, layer)
      .attention_input(student_stream_WTM.narrow(0, begin, count).to(device()));
}

at::Tensor RefitProblem::target(std::int64_t begin, std::int64_t count) const {
  return target_WTM.narrow(0, begin, count).to(device());
}

void put_projections(const family::ModelConfig& config, const AttentionLayer& attention, std::int64_t layer,
                     model::Weights& weights, at::TensorOptions options) {
  const auto put = [&](Part part) { weights[{part, layer}] = part_of(config, attention, part).to(options); };
  for (const Part part : {Part::kQueryWeight, Part::kKeyWeight, Part::kValueWeight, Part::kOutputWeight})
    put(part);
  if (attention.has_bias())
    for (const Part part : {Part::kQueryBias, Part::kKeyBias, Part::kValueBias}) put(part);
  if (attention.q_norm_HD.defined()) put(Part::kQueryNorm);
  if (attention.k_norm_KD.defined()) put(Part::kKeyNorm);
}

model::Weights weights_with(const RefitProblem& problem, const AttentionLayer& student) {
  model::Weights weights = problem.fixed;
  put_projections(problem.config, student, problem.layer, weights, problem.weight_T1.options());
  return weights;
}

AttentionLayer projections_of(const RefitProblem& problem, const model::Weights& weights,
                              const AttentionLayer& like) {
  const std::int64_t dim = like.head_dim();
  const auto rows = [&](Part weight_part, Part bias_part, const at::Tensor& old) {
    at::Tensor values = model::weight_of(weights, weight_part, problem.layer).detach();
    if (like.has_bias())
      values =
          at::cat({values, model::weight_of(weights, bias_part, problem.layer).detach().unsqueeze(1)}, 1);
    return values.to(old.options()).unflatten(0, {-1, dim});
  };
  AttentionLayer layer = like;
  layer.q_HDN = rows(Part::kQueryWeight, Part::kQueryBias, like.q_HDN);
  layer.k_KDN = rows(Part::kKeyWeight, Part::kKeyBias, like.k_KDN);
  layer.v_KDN = rows(Part::kValueWeight, Part::kValueBias, like.v_KDN);
  layer.o_MHD = model::weight_of(weights, Part::kOutputWeight, problem.layer)
                    .detach()
                    .to(like.o_MHD.options())
                    .unflatten(1, {-1, dim});
  return layer;
}

at::Tensor student_heads(const RefitProblem& problem, const model::Weights& weights, std::int64_t begin,
                         std::int64_t count) {
  return model::DecoderLayer(problem.config, weights, problem.layer)
      .heads(problem.input(begin, count), problem.rotation);
}

at::Tensor student_output(const RefitProblem& problem, const model::Weights& weights, std::int64_t begin,
                          std::int64_t count) {
  return model::DecoderLayer(problem.config, weights, problem.layer)
      .attention_output(student_heads(problem, weights, begin, count));
}

double held_out_error(const RefitProblem& problem, const AttentionLayer& student) {
  const model::Weights weights = weights_with(problem, student);
  double lost = 0, whole = 0;
  for_each_batch(problem.training, problem.windows(), problem.tokens(),
                 [&](std::int64_t begin, std::int64_t count) {
                   const at::Tensor target = problem.target(begin, count);
                   const at::Tensor difference = student_output(problem, weights, begin, count) - target;
                   lost += (difference.square() * problem.weight_T1).sum(at::kDouble).item<double>();
                   whole += (target.square() * problem.weight_T1).sum(at::kDouble).item<double>();
                 });
  return in_units_of(whole, lost);
}

std::span<const Refit> refits() {
  return kRefits;
}

std::vector<const Refit*> parse_refits(const std::string& list) {
  std::vector<const Refit*> chosen;
  if (list == "none") return chosen;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string name = list.substr(begin, end - begin);
    std::erase(name, ' ');
    if (name == "none")
      throw UserError({.where = "--refit", .what = "'none' stands alone", .found = "'" + list + "'"});
    const auto row = std::ranges::find(kRefits, name, &Refit::name);
    if (row == kRefits.end())
      throw UserError({.where = "--refit",
                       .what = "no such refit",
                       .expected = "none, or a list of " + list_some(names_of(kRefits)),
                       .found = "'" + name + "'"});
    chosen.push_back(&*row);
    begin = end + 1;
  }
  return chosen;
}

}  // namespace regroup::convert
