#include "uptrain/teacher.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/tokenizer/tokenizer.h"
#include "uptrain/loss.h"

namespace regroup::uptrain {
namespace {

void require_same_tokens(const family::ModelDirectory& teacher, const family::ModelDirectory& student,
                         bool layer_by_layer) {
  const auto refuse = [&](std::string what, std::string expected, std::string found) {
    throw UserError({.where = teacher.path.string(),
                     .what = std::move(what),
                     .expected = std::move(expected),
                     .found = std::move(found),
                     .remedy = "Give the model that the student was converted from"});
  };
  const auto &theirs = teacher.config, &ours = student.config;
  if (theirs.vocab_size != ours.vocab_size)
    refuse("the teacher's vocabulary is another", fmt::format("{} ids", ours.vocab_size),
           std::to_string(theirs.vocab_size));
  if (const auto files = tokenizer::differing_tokenizers(student.path, teacher.path))
    refuse("the teacher's tokenizer is another", "what " + files->a.string() + " says", files->b.string());
  if (layer_by_layer && (theirs.layers != ours.layers || theirs.hidden != ours.hidden))
    refuse("its layers cannot be matched one by one",
           fmt::format("{} layers of width {}", ours.layers, ours.hidden),
           fmt::format("{} of {}", theirs.layers, theirs.hidden));
}

}  // namespace

std::optional<family::ModelDirectory> open_teacher(const UptrainOptions& options,
                                                   const family::ModelDirectory& student) {
  const bool given = !options.teacher.empty(), matches = options.match_fraction > 0;
  const Loss& chosen = loss(options.loss, given);
  if (!given && !chosen.needs_teacher && !matches) return std::nullopt;
  if (!given)
    throw UserError({.where = matches ? "--match-fraction" : "--loss " + std::string(chosen.name),
                     .what = "there is nothing to learn from",
                     .remedy = "Give the model before its conversion as --teacher"});
  if (!chosen.needs_teacher && !matches)
    throw UserError({.where = "--teacher",
                     .what = fmt::format("--loss {} does not look at a teacher", chosen.name),
                     .remedy = "Leave one of the two out"});
  family::ModelDirectory teacher = family::open_model(options.teacher);
  require_same_tokens(teacher, student, !chosen.sees_logits || matches);
  return teacher;
}

}  // namespace regroup::uptrain
