#include "convert/whole_file.h"

#include "core/base/file.h"
#include "core/checkpoint/safetensors.h"
#include "core/model/stored.h"

namespace regroup::convert {

namespace fs = std::filesystem;

void write_whole(const fs::path& path, const fs::path& unfinished,
                 const std::vector<std::pair<std::string, at::Tensor>>& tensors, checkpoint::DType dtype,
                 const std::map<std::string, std::string>& metadata) {
  std::vector<checkpoint::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back(
        {.name = name, .dtype = dtype, .shape = tensor.sizes().vec(), .begin = 0, .end = tensor.nbytes()});
  fs::remove(unfinished);
  checkpoint::SafetensorsWriter writer(unfinished, infos, metadata);
  for (const auto& entry : tensors) {
    const at::Tensor contiguous = entry.second.contiguous();
    writer.append(model::bytes_of(contiguous));
  }
  writer.finish();
  fs::rename(unfinished, path);
  sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace regroup::convert
