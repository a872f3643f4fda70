// The files of a model directory beside its weights and config.json: tokenizer, generation_config, README, …
#pragma once

#include <filesystem>
#include <vector>

namespace regroup::checkpoint {

// What a converted directory takes over, sorted by name, relative to `directory`: everything at its top level
// except config.json, weights in any format (safetensors, .bin, .pt, .pth, .gguf, .h5, .msgpack, .onnx, their
// indexes), version control, partial downloads, and what this program writes itself. Symbolic links (a hub
// cache) count as what they point to.
std::vector<std::filesystem::path> carried_files(const std::filesystem::path& directory);

// Copies the bytes that a path leads to (never a link) and syncs.
void copy_file_synced(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace regroup::checkpoint
