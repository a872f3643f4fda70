// Zip archives made byte by byte, right ones and wrong ones; and files of torch.save in them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/model_files.h"

namespace regroup::testing {

// Little-endian; bytes beyond the eighth are zero.
inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i, value >>= 8) text += static_cast<char>(value & 0xff);
  return text;
}

struct ArchiveEntry {
  std::string name, data;
  int flags = 0, method = 0;
  std::uint64_t local = ~std::uint64_t{0};  // where the directory says that the local header is
  std::uint64_t size = ~std::uint64_t{0};   // and how large the data
};

inline std::string zip_archive(const std::vector<ArchiveEntry>& entries) {
  std::string file, directory;
  for (const ArchiveEntry& entry : entries) {
    const std::uint64_t size = entry.size == ~std::uint64_t{0} ? entry.data.size() : entry.size;
    const std::string sizes =
        little_endian(0, 4) + little_endian(size, 4) + little_endian(size, 4);  // after the CRC
    const std::string common = little_endian(20, 2) + little_endian(entry.flags, 2) +
                               little_endian(entry.method, 2) + little_endian(0, 4);
    directory += "PK\1\2" + little_endian(20, 2) + common + sizes + little_endian(entry.name.size(), 2) +
                 little_endian(0, 12) +
                 little_endian(entry.local == ~std::uint64_t{0} ? file.size() : entry.local, 4) + entry.name;
    file += "PK\3\4" + common + sizes + little_endian(entry.name.size(), 2) + little_endian(0, 2) +
            entry.name + entry.data;
  }
  return file + directory + "PK\5\6" + little_endian(0, 4) + little_endian(entries.size(), 2) +
         little_endian(entries.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(file.size(), 4) + little_endian(0, 2);
}

// torch.save of a state_dict, by the opcodes of pickle's protocol 2: each tensor in a storage of its own.
inline std::string torch_file_bytes(const FileTensors& tensors) {
  const auto text = [](const std::string& value) { return "X" + little_endian(value.size(), 4) + value; };
  const auto sizes = [](const std::vector<std::int64_t>& values) {
    std::string tuple = "(";
    for (const std::int64_t value : values)
      tuple += "J" + little_endian(static_cast<std::uint64_t>(value), 4);
    return tuple + "t";
  };
  const std::map<std::string, std::string> storages = {{"F32", "FloatStorage"},     {"F16", "HalfStorage"},
                                                       {"BF16", "BFloat16Storage"}, {"U8", "ByteStorage"},
                                                       {"BOOL", "BoolStorage"},     {"I64", "LongStorage"}};
  std::string pickle = "\x80\x02}";
  std::vector<ArchiveEntry> entries = {{"archive/data.pkl", ""}};
  for (const auto& [name, tensor] : tensors) {
    const std::string key = std::to_string(entries.size());
    std::vector<std::int64_t> strides(tensor.shape.size(), 1);
    for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * tensor.shape[i];
    const std::int64_t elements = tensor.shape.empty() ? 1 : strides[0] * tensor.shape[0];
    pickle += text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" +
              storages.at(tensor.dtype) + "\n" + text(key) + text("cpu") + "J" +
              little_endian(static_cast<std::uint64_t>(elements), 4) + "tQJ" + little_endian(0, 4) +
              sizes(tensor.shape) + sizes(strides) + "\x89}tRs";
    entries.push_back({"archive/data/" + key, tensor.bytes});
  }
  entries[0].data = pickle + ".";
  return zip_archive(entries);
}

}  // namespace regroup::testing
