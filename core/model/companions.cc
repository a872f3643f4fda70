#include "core/model/companions.h"

#include "core/base/log.h"
#include "core/base/model_file.h"
#include "core/checkpoint/carry.h"
#include "core/tokenizer/beside.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::model {

std::vector<Companion> companions(const family::ModelDirectory& model) {
  std::vector<Companion> companions;
  if (!is_model_file(model.path)) {
    for (const auto& name : checkpoint::carried_files(model.path))
      companions.push_back({model.path / name, name});
  } else if (const auto file = tokenizer::find_tokenizer_beside(model.path)) {
    tokenizer::open_tokenizer(model.path);  // or it is not this model's
    companions.push_back({*file, "tokenizer.model"});
  } else {
    log_warning(model.path.string() + ": no tokenizer beside it, so the result has none");
  }
  return companions;
}

}  // namespace regroup::model
