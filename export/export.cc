#include "export/export.h"

#include <fmt/format.h>

#include <vector>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/output_file.h"
#include "core/base/progress.h"
#include "core/base/table.h"
#include "core/base/version.h"
#include "core/gguf/writer.h"
#include "core/tokenizer/tokenizer.h"
#include "export/architecture.h"
#include "export/graph_check.h"
#include "export/tensors.h"
#include "export/tokenizer_metadata.h"
#include "export/weight_type.h"
#include "export/weights.h"

namespace regroup::exporting {
namespace {

namespace fs = std::filesystem;

gguf::Metadata metadata_of(const Architecture& architecture, const family::ModelDirectory& model,
                           const WeightType& type) {
  gguf::Metadata metadata = model_metadata(architecture, model);
  metadata.emplace_back("general.file_type", type.file_type);
  metadata.emplace_back("general.quantization_version", std::uint32_t{2});
  const auto tokenizer = tokenizer::open_tokenizer(model.path);
  gguf::Metadata more = tokenizer_metadata(tokenizer->vocabulary(), model.config.vocab_size, model.path);
  metadata.insert(metadata.end(), more.begin(), more.end());
  add_chat_template(model.path, metadata);
  return metadata;
}

// Returns the file's SHA-256.
std::string write_file(const fs::path& path, const family::ModelDirectory& model,
                       const gguf::Metadata& metadata, const std::vector<PlannedTensor>& tensors) {
  std::vector<gguf::TensorInfo> infos;
  std::uint64_t bytes = 0;
  for (const PlannedTensor& tensor : tensors) infos.push_back(tensor.info), bytes += tensor.info.bytes();
  Progress progress("writing " + path.filename().string(), static_cast<double>(bytes), "B");
  gguf::Writer writer(path, metadata, std::move(infos));
  for (const PlannedTensor& tensor : tensors) {
    write_tensor(model, tensor, writer);
    progress.advance(static_cast<double>(tensor.info.bytes()));
  }
  return writer.finish();
}

Json file_record(const fs::path& path, const std::string& sha256) {
  return {{"path", path.string()}, {"bytes", fs::file_size(path)}, {"sha256", sha256}};
}

Json record_of(const ExportOptions& options, const family::ModelDirectory& model, const Exported& done,
               const std::string& sha256, const Json& resolved) {
  Json sources = Json::array();
  for (const auto& file : model.checkpoint.files())
    sources.push_back(file_record(file.path(), sha256_of_file(file.path())));
  return {{"command", "export"},
          {"version", version()},
          {"commit", commit()},
          {"options", resolved},
          {"architecture", done.architecture},
          {"dtype", done.dtype},
          {"kv_heads", model.config.kv_heads},
          {"tensors", done.tensors},
          {"approximations", done.approximations},
          {"sources", sources},
          {"file", file_record(options.output, sha256)}};
}

}  // namespace

Exported export_gguf(const ExportOptions& options, const Json& resolved) {
  const fs::path record = options.output.string() + ".json";
  for (const fs::path& file : {options.output, record}) require_output_file(file, "OUT", options.overwrite);

  const family::ModelDirectory model = family::open_model(options.model);
  std::vector<fs::path> inputs = {options.model / "config.json"};
  for (const auto& file : model.checkpoint.files()) inputs.push_back(file.path());
  for (const fs::path& file : {options.output, record}) require_apart(file, inputs);
  const WeightType& type = weight_type(options.dtype, model.dtype());
  const Architecture& architecture = architecture_for(model);
  const std::vector<std::string> near = approximations(architecture, model.config);
  for (const std::string& sentence : near)
    log_warning(fmt::format("{}: {}", options.model.string(), sentence));
  const gguf::Metadata metadata = metadata_of(architecture, model, type);
  const std::vector<PlannedTensor> tensors = plan_tensors(architecture, model, type.type);
  check_tied_copy(model);

  OutputFile output(options.output, options.overwrite);
  std::vector<gguf::TensorInfo> infos;
  for (const PlannedTensor& tensor : tensors) infos.push_back(tensor.info);
  require_space(output.path(), output.partial().parent_path(), gguf::file_bytes(metadata, infos));
  const std::string sha256 = write_file(output.partial(), model, metadata, tensors);
  output.commit();

  const Exported done{.architecture = std::string(architecture.name),
                      .dtype = std::string(type.name),
                      .tensors = static_cast<std::int64_t>(tensors.size()),
                      .approximations = near,
                      .record = record};
  write_output_file(record, to_text(record_of(options, model, done, sha256, resolved)), options.overwrite);
  return done;
}

std::string dtype_help() {
  std::string help = "of the weights (norms and biases stay fp32): ";
  for (const WeightType& type : weight_types()) help += fmt::format("{} ({}), ", type.name, type.summary);
  return help + "by default what the model is stored in";
}

std::string architecture_help() {
  return list_some(names_of(architectures()), 30);
}

}  // namespace regroup::exporting
