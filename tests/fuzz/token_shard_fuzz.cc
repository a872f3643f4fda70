// Whatever the bytes of a token shard, reading it ends in ids of the vocabulary and documents inside the
// stream, or in a UserError. The first byte chooses the format; the second says how many bytes at the end are
// a Megatron dataset's ids, the rest being its index.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/data/formats.h"
#include "tests/fuzz/data_formats.h"

namespace {

using namespace regroup::data;

constexpr std::int64_t kVocabulary = 1000;

void require(bool promise) {
  if (!promise) std::abort();
}

// PREFIX.bin and PREFIX.idx in memory-backed storage where there is any.
const std::filesystem::path& prefix() {
  static const std::filesystem::path path = [] {
    const std::filesystem::path shared = "/dev/shm";
    const auto folder =
        std::filesystem::is_directory(shared) ? shared : std::filesystem::temp_directory_path();
    return folder / ("regroup-token-shard-fuzz-" + std::to_string(::getpid()));
  }();
  return path;
}

struct Files {
  std::filesystem::path bin = prefix().string() + ".bin", idx = prefix().string() + ".idx";
  ~Files() {
    std::filesystem::remove(bin);
    std::filesystem::remove(idx);
  }
};

void require_sound(const TokenStream& stream) {
  const auto tokens = static_cast<std::int64_t>(stream.tokens.size());
  for (const Token token : stream.tokens) require(token >= 0 && token < kVocabulary);
  require(tokens > 0 && !stream.document_starts.empty() && stream.document_starts.front() == 0);
  std::int64_t before = -1;
  for (const std::int64_t start : stream.document_starts) {
    require(start > before && start < tokens);
    before = start;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  static const std::vector<std::string> formats = regroup::fuzz::formats_to_read(/*is_text=*/false);
  const std::string& format = formats[data[0] % formats.size()];
  const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
  const std::size_t index =
      format == "megatron" ? bytes.size() - std::min<std::size_t>(data[1], bytes.size()) : 0;
  const Files files;
  regroup::write_text(files.bin, bytes.substr(index));
  if (index > 0) regroup::write_text(files.idx, bytes.substr(0, index));
  try {
    require_sound(read_tokens({files.bin}, nullptr, {.format = format, .vocab_size = kVocabulary}));
  } catch (const regroup::UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
