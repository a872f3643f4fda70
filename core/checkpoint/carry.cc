#include "core/checkpoint/carry.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kCopyBytes = 4 << 20;

// Weights and what only makes sense with them, partial downloads. Lower case.
constexpr std::array<std::string_view, 26> kLeftSuffixes = {".safetensors", ".safetensors.index.json",
                                                            ".bin",         ".bin.index.json",
                                                            ".pt",          ".pth",
                                                            ".ckpt",        ".ckpt.index",
                                                            ".gguf",        ".ggml",
                                                            ".h5",          ".h5.index.json",
                                                            ".msgpack",     ".msgpack.index.json",
                                                            ".onnx",        ".onnx_data",
                                                            ".ot",          ".npz",
                                                            ".tflite",      ".pkl",
                                                            ".incomplete",  ".part",
                                                            ".partial",     ".crdownload",
                                                            ".aria2",       ".tmp"};

constexpr std::array<std::string_view, 9> kLeftNames = {"config.json", ".git",        ".gitattributes",
                                                        ".gitignore",  ".gitmodules", ".hg",
                                                        ".lock",       ".svn",        "metrics.jsonl"};

// regroup.json, REGROUP.md, regroup.toml …
constexpr std::string_view kOurs = "regroup.";

bool is_left(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name.starts_with(kOurs) || std::ranges::find(kLeftNames, name) != kLeftNames.end() ||
         std::ranges::any_of(kLeftSuffixes, [&](std::string_view suffix) { return name.ends_with(suffix); });
}

}  // namespace

std::vector<fs::path> carried_files(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const fs::path name = entry.path().filename();
    if (is_left(name.string())) continue;
    if (!entry.exists())
      throw UserError({.where = entry.path().string(),
                       .what = "a link to a file that is not there",
                       .found = fs::read_symlink(entry.path()).string(),
                       .remedy = "Was the download cut off?"});
    if (entry.is_regular_file()) files.push_back(name);
  }
  std::ranges::sort(files);
  return files;
}

void copy_file_synced(const fs::path& from, const fs::path& to) {
  const File source = File::open_for_reading(from);
  File copy = File::create(to);
  const std::uint64_t size = source.size();
  std::vector<std::byte> buffer(std::min(size, kCopyBytes));
  for (std::uint64_t done = 0; done < size;) {
    const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - done));
    source.read_at(done, chunk);
    copy.append(std::span<const std::byte>(chunk));
    done += chunk.size();
  }
  copy.sync();
}

}  // namespace regroup::checkpoint
