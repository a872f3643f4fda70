#include "core/data/formats.h"

#include <array>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/data/megatron.h"
#include "core/data/shard_formats.h"
#include "core/data/text_formats.h"

namespace regroup::data {

std::span<const DataFormat> data_formats() {
  static constexpr std::array<DataFormat, 5> formats = {{
      {"text", "UTF-8 text, documents apart by lines holding only <|endoftext|>", nullptr, read_text_file,
       nullptr, nullptr, true},
      {"jsonl", "one JSON object a line, its \"text\" a document", is_jsonl, read_jsonl_file, nullptr,
       nullptr, true},
      {"llm.c", "token shard with a header of 256 int32, one document", is_llmc, read_llmc, write_llmc,
       one_file},
      {"megatron", "PREFIX.bin and PREFIX.idx, which keeps documents", is_megatron, read_megatron,
       write_megatron, megatron_files},
      {"nanogpt", "bare uint16 ids, one document; has no header, so it must be named", nullptr, read_nanogpt,
       write_nanogpt, one_file},
  }};
  return formats;
}

std::vector<std::filesystem::path> files_behind(const std::filesystem::path& path) {
  for (const DataFormat& format : data_formats())
    if (format.recognises != nullptr && format.outputs != nullptr && format.recognises(path))
      return format.outputs(path);
  return {path};
}

const DataFormat& data_format(std::string_view name) {
  std::vector<std::string> names;
  for (const DataFormat& format : data_formats()) {
    if (format.name == name) return format;
    names.emplace_back(format.name);
  }
  throw UserError({.where = "data format",
                   .what = "unknown name",
                   .expected = "one of " + list_some(names),
                   .found = "'" + std::string(name) + "'"});
}

}  // namespace regroup::data
