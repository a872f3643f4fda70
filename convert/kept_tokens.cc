#include "convert/kept_tokens.h"

#include <fmt/format.h>

#include <optional>

#include "convert/fingerprint.h"
#include "convert/whole_file.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/checkpoint/safetensors.h"
#include "core/model/stored.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path) {
  throw UserError({.where = path.string(),
                   .what = "stands where tokens are to be kept",
                   .remedy = "Move it away, or name another output"});
}

checkpoint::TensorFile open_tokens(const fs::path& path) {
  try {
    checkpoint::TensorFile file = checkpoint::open_safetensors(path);
    if (file.header().metadata.contains("recipe") && file.header().tensors.size() == 1) return file;
  } catch (const UserError&) {
    refuse(path);
  }
  refuse(path);
}

std::optional<CalibrationTokens> read_tokens(const fs::path& path, const Json& recipe) {
  const checkpoint::TensorFile file = open_tokens(path);
  const auto& metadata = file.header().metadata;
  const Json theirs = parse_json(metadata.at("recipe"), path.string());
  if (theirs != recipe) {
    log_info(fmt::format("the tokens in {} are of another conversion ({}): made anew", path.string(),
                         differences(theirs, recipe)));
    return std::nullopt;
  }
  const checkpoint::TensorInfo& info = file.header().tensors.front();
  CalibrationTokens tokens{.tokens_WT = at::empty(info.shape, at::kLong),
                           .held_out = std::stoll(metadata.at("held_out")),
                           .origin = metadata.at("origin")};
  file.read(info, 0, model::bytes_of(tokens.tokens_WT));
  log_info(fmt::format("going on with the tokens in {}", path.string()));
  return tokens;
}

}  // namespace

CalibrationTokens kept_tokens(const fs::path& path, const Json& recipe,
                              const std::function<CalibrationTokens()>& make) {
  if (fs::exists(path))
    if (std::optional<CalibrationTokens> kept = read_tokens(path, recipe)) return *std::move(kept);
  CalibrationTokens made = make();
  fs::path unfinished = path;
  unfinished += ".partial";
  write_whole(
      path, unfinished, {{"tokens", made.tokens_WT}}, checkpoint::DType::kI64,
      {{"recipe", recipe.dump()}, {"held_out", std::to_string(made.held_out)}, {"origin", made.origin}});
  return made;
}

}  // namespace regroup::convert
