// What torch.save writes for a dictionary of tensors (pytorch_model.bin): a zip archive of stored entries,
//
//   NAME/data.pkl     a pickle: tensor name -> (storage, offset, shape, strides)
//   NAME/data/KEY     the bytes of storage KEY
//   NAME/byteorder    "little"; absent in old files
//
// in any protocol and version since PyTorch 1.6. The pickle is read as data (pickle.h): nothing is run, and
// one that asks for more than tensors need is refused by what it asks for. Tensors may share a storage (tied
// weights) or be a part of one. Refused by name: a tensor whose elements do not lie in the order of its shape
// (a transposed view), an entry that is not a tensor, and the format of before 1.6.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/tensor_file.h"
#include "core/checkpoint/zip.h"

namespace regroup::checkpoint {

TensorFile open_torch_file(const std::filesystem::path& path);

// The pure part: the tensors of a data.pkl, in its order, as ranges of the file in which `storages` (by key)
// lie.
std::vector<TensorInfo> parse_state_dict(std::span<const std::byte> pickle,
                                         const std::map<std::string, ZipEntry, std::less<>>& storages,
                                         const std::string& where);

}  // namespace regroup::checkpoint
