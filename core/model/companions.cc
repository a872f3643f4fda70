#include "core/model/companions.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/model_file.h"
#include "core/checkpoint/carry.h"
#include "core/tokenizer/beside.h"
#include "core/tokenizer/tokenizer.h"

namespace regroup::model {
namespace {

bool names_code(const std::filesystem::path& config) {
  return std::filesystem::exists(config) && read_json(config).contains("auto_map");
}

// Python beside a configuration that no longer names it (family::open_model()), unless its tokenizer's does.
bool leaves_code(const std::filesystem::path& directory) {
  return names_code(directory / "config.json") && !names_code(directory / "tokenizer_config.json");
}

}  // namespace

std::vector<Companion> companions(const family::ModelDirectory& model) {
  std::vector<Companion> companions;
  if (!is_model_file(model.path)) {
    const bool without_code = leaves_code(model.path);
    for (const auto& name : checkpoint::carried_files(model.path))
      if (!without_code || name.extension() != ".py") companions.push_back({model.path / name, name});
  } else if (const auto file = tokenizer::find_tokenizer_beside(model.path)) {
    tokenizer::open_tokenizer(model.path);  // or it is not this model's
    companions.push_back({*file, "tokenizer.model"});
  } else {
    log_warning(model.path.string() + ": no tokenizer beside it, so the result has none");
  }
  return companions;
}

}  // namespace regroup::model
