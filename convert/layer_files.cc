#include "convert/layer_files.h"

#include <fmt/format.h>

#include <vector>

#include "convert/fingerprint.h"
#include "convert/whole_file.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/checkpoint/safetensors.h"
#include "core/model/device.h"
#include "core/model/stored.h"

namespace regroup::convert {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFingerprint = "fingerprint";

std::vector<std::pair<std::string, at::Tensor>> named(const AttentionLayer& layer) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"k", layer.k_KDN}, {"k_norm", layer.k_norm_KD}, {"o", layer.o_MHD},
      {"q", layer.q_HDN}, {"q_norm", layer.q_norm_HD}, {"v", layer.v_KDN}};
  std::erase_if(tensors, [](const auto& entry) { return !entry.second.defined(); });
  return tensors;
}

}  // namespace

LayerFiles::LayerFiles(fs::path directory, const Json& fingerprint) : directory_(std::move(directory)) {
  const fs::path file = directory_ / kFingerprint;
  if (fs::exists(directory_)) {
    if (!fs::is_directory(directory_) || (!fs::exists(file) && !fs::is_empty(directory_)))
      throw UserError({.where = directory_.string(),
                       .what = "stands where finished layers are to be kept",
                       .remedy = "Move it away, or name another output"});
    const Json theirs = fs::exists(file) ? read_json(file) : Json::object();
    if (theirs == fingerprint) {
      log_info(fmt::format("going on with the finished layers in {}", directory_.string()));
      return;
    }
    if (!fs::is_empty(directory_))
      log_warning(fmt::format("the finished layers in {} are of another conversion ({}): starting clean",
                              directory_.string(), differences(theirs, fingerprint)));
    fs::remove_all(directory_);
  }
  fs::create_directory(directory_);
  write_text(file, to_text(fingerprint));
}

fs::path LayerFiles::path_of(std::int64_t layer) const {
  return directory_ / fmt::format("layer-{}.safetensors", layer);
}

bool LayerFiles::has(std::int64_t layer) const {
  return fs::exists(path_of(layer));
}

void LayerFiles::write(std::int64_t layer, const MergedLayer& merged) const {
  Json record = {{"grouping", merged.record.grouping}, {"exact", merged.record.exact_grouping}};
  if (merged.record.error) record["error"] = {merged.record.error->keys, merged.record.error->values};
  record["refits"] = Json::array();
  for (const RefitRecord& refit : merged.record.refits)
    record["refits"].push_back({refit.name, refit.before, refit.after, refit.accepted});
  const checkpoint::DType dtype =
      merged.attention.k_KDN.scalar_type() == at::kDouble ? checkpoint::DType::kF64 : checkpoint::DType::kF32;
  write_whole(path_of(layer), directory_ / "unfinished", named(merged.attention), dtype,
              {{"record", record.dump()},
               {"hidden", std::to_string(merged.attention.hidden)},
               {"rotary_dims", std::to_string(merged.attention.rotary_dims)}});
}

MergedLayer LayerFiles::read(std::int64_t layer) const {
  const checkpoint::TensorFile reader = checkpoint::open_safetensors(path_of(layer));
  MergedLayer merged;
  for (const auto& info : reader.header().tensors) {
    at::Tensor values = at::empty(info.shape, model::scalar_type(info.dtype));
    reader.read(info, 0, model::bytes_of(values));
    at::Tensor& place = info.name == "q"        ? merged.attention.q_HDN
                        : info.name == "k"      ? merged.attention.k_KDN
                        : info.name == "v"      ? merged.attention.v_KDN
                        : info.name == "q_norm" ? merged.attention.q_norm_HD
                        : info.name == "k_norm" ? merged.attention.k_norm_KD
                                                : merged.attention.o_MHD;
    place = values;
  }
  const auto& metadata = reader.header().metadata;
  merged.attention.hidden = std::stoll(metadata.at("hidden"));
  merged.attention.rotary_dims = std::stoll(metadata.at("rotary_dims"));
  const Json record = parse_json(metadata.at("record"), path_of(layer).string());
  merged.record.grouping = record["grouping"].get<Grouping>();
  merged.record.exact_grouping = record["exact"];
  if (record.contains("error")) merged.record.error = MergeError{record["error"][0], record["error"][1]};
  for (const Json& refit : record["refits"])
    merged.record.refits.push_back({refit[0], refit[1], refit[2], refit[3]});
  return merged;
}

}  // namespace regroup::convert
