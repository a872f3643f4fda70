#include "core/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/checkpoint/json_events.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/sharding.h"
#include "core/checkpoint/torch_file.h"
#include "core/checkpoint/weight_format.h"

namespace regroup::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr std::array<Format, 2> kFormats = {
    {{kSingleFile, kIndexFile, ".safetensors", open_safetensors},
     {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin", open_torch_file}}};

// Keeps the weight_map of an index and passes over everything else.
class IndexVisitor final : public JsonVisitor {
 public:
  IndexVisitor(const std::string& where, std::string_view extension) : where_(where), extension_(extension) {}
  std::map<std::string, std::string> weight_map;
  bool found = false;

  void open_object() override {
    if (depth_ == 1 && key_ == "weight_map") {
      if (found) fail("'weight_map' is there twice");
      in_map_ = found = true;
    } else if (depth_ >= 1) {
      refuse("an object");
    }
    ++depth_;
  }
  void open_array() override {
    if (depth_ == 0) fail("not an index: expected an object, found a list");
    refuse("a list");
    ++depth_;
  }
  void close() override {
    if (--depth_ == 1) in_map_ = false;
  }
  void key(std::string& name) override {
    if (depth_ > 2 || (depth_ == 2 && !in_map_)) return;
    key_ = std::move(name);
    if (in_map_ && weight_map.contains(key_)) fail(fmt::format("tensor {} is there twice", in_quotes(key_)));
  }
  void string(std::string& text) override {
    if (!in_map_) return refuse("the text " + in_quotes(text));
    check_file_name(text);
    weight_map.emplace(key_, std::move(text));
  }
  void size(std::uint64_t number) override { refuse(std::to_string(number)); }
  void other(const std::string& literal) override { refuse(literal); }

 private:
  // Only what stands for the weight_map or inside it has a form to keep.
  void refuse(const std::string& instead) const {
    if (depth_ == 0) fail("not an index: expected an object, found " + instead);
    if (in_map_)
      fail(fmt::format("'weight_map' maps {} to {} instead of a file name", in_quotes(key_), instead));
    if (depth_ == 1 && key_ == "weight_map")
      fail(fmt::format("'weight_map' is {} instead of an object", instead));
  }

  void check_file_name(const std::string& name) const {
    const fs::path path(name);
    const bool leaves = path.is_absolute() || std::ranges::find(path, "..") != path.end();
    const bool control = std::ranges::any_of(name, [](unsigned char c) { return c < 0x20; });
    if (leaves || control)
      fail(fmt::format("'weight_map' sends {} to {}, which is not inside the model's directory",
                       in_quotes(key_), in_quotes(name)));
    if (path.extension() != extension_)
      fail(fmt::format("'weight_map' sends {} to {}, which is not a {} file", in_quotes(key_),
                       in_quotes(name), extension_));
  }

  [[noreturn]] void fail(std::string what) const {
    throw UserError({.where = where_, .what = std::move(what)});
  }

  const std::string& where_;
  std::string_view extension_;
  std::size_t depth_ = 0;
  bool in_map_ = false;
  std::string key_;
};

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool file = fs::is_regular_file(path, error);
  if (!file && fs::is_symlink(path, error))
    throw UserError({.where = path.string(),
                     .what = "a link to a file that is not there",
                     .found = fs::read_symlink(path, error).string(),
                     .remedy = "Was the download cut off?"});
  return file;
}

// Weights that are here but that we do not read, as "pytorch_model.bin (PyTorch pickle)".
std::vector<std::string> other_weights(const fs::path& directory) {
  struct Kind {
    std::string_view suffix, name;
  };
  constexpr std::array<Kind, 13> kKinds = {{{"adapter_model.safetensors", "an adapter"},
                                            {"adapter_model.bin", "an adapter"},
                                            {".safetensors.index.json", "an index under another name"},
                                            {".safetensors", "safetensors under another name"},
                                            {".bin.index.json", "an index under another name"},
                                            {".bin", "PyTorch pickle under another name"},
                                            {".pt", "PyTorch pickle"},
                                            {".pth", "PyTorch pickle"},
                                            {".ckpt", "PyTorch pickle or TensorFlow"},
                                            {".gguf", "GGUF"},
                                            {".h5", "TensorFlow"},
                                            {".msgpack", "Flax"},
                                            {".onnx", "ONNX"}}};
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const auto kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return name.ends_with(k.suffix); });
    if (kind != kKinds.end()) found.push_back(fmt::format("{} ({})", name, kind->name));
  }
  std::ranges::sort(found);
  return found;
}

[[noreturn]] void fail_without_weights(const fs::path& directory) {
  const std::vector<std::string> found = other_weights(directory);
  const bool adapter =
      std::ranges::any_of(found, [](const std::string& name) { return name.starts_with("adapter_model."); });
  throw UserError(
      {.where = directory.string(),
       .what = "no weights that can be read",
       .expected = fmt::format("{} or {}, or an index of either", kFormats[0].single, kFormats[1].single),
       .found = found.empty() ? "none of them" : list_some(found),
       .remedy = adapter         ? "Merge the adapter into its base model first"
                 : found.empty() ? ""
                                 : "Save the model as safetensors first"});
}

// The shards of an index as far as they can be opened, and everything that is wrong with the set of them.
class ShardCheck {
 public:
  explicit ShardCheck(std::map<std::string, std::string> weight_map) : weight_map_(std::move(weight_map)) {}

  std::vector<TensorFile> open_files(const fs::path& directory, const Format& format) {
    std::set<std::string> names;
    for (const auto& [tensor, file] : weight_map_) names.insert(file);
    std::vector<TensorFile> files;
    for (const std::string& name : names) {
      try {
        if (!is_there(directory / name)) {
          problems_.push_back(in_quotes(name) + " is not there");
          continue;
        }
        files.push_back(format.open(directory / name));
        file_names_.push_back(name);
      } catch (const UserError& error) {
        problems_.emplace_back(error.what());
      }
    }
    return files;
  }

  void compare(const std::vector<TensorFile>& files) {
    std::map<std::string_view, std::string_view> home;
    for (std::size_t i = 0; i < files.size(); ++i)
      for (const TensorInfo& tensor : files[i].header().tensors) compare(tensor, file_names_[i], home);
    for (const auto& [tensor, file] : weight_map_)
      if (!home.contains(tensor) && std::ranges::binary_search(file_names_, file))
        problems_.push_back(fmt::format("{} has no tensor {}", in_quotes(file), in_quotes(tensor)));
  }

  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void compare(const TensorInfo& tensor, const std::string& file,
               std::map<std::string_view, std::string_view>& home) {
    const auto [earlier, first] = home.emplace(tensor.name, file);
    const auto promised = weight_map_.find(tensor.name);
    if (!first)
      problems_.push_back(fmt::format("tensor {} is in {} and in {}", in_quotes(tensor.name),
                                      in_quotes(earlier->second), in_quotes(file)));
    else if (promised == weight_map_.end())
      problems_.push_back(
          fmt::format("tensor {} of {} is not in the index", in_quotes(tensor.name), in_quotes(file)));
    else if (promised->second != file)
      problems_.push_back(fmt::format("tensor {} is in {}, the index says {}", in_quotes(tensor.name),
                                      in_quotes(file), in_quotes(promised->second)));
  }

  std::map<std::string, std::string> weight_map_;
  std::vector<std::string> file_names_, problems_;
};

}  // namespace

std::map<std::string, std::string> parse_index(std::string_view text, const std::string& where,
                                               std::string_view extension) {
  IndexVisitor visitor(where, extension);
  visit_json(text, where, visitor);
  if (!visitor.found) throw UserError({.where = where, .what = "not an index: it has no 'weight_map'"});
  if (visitor.weight_map.empty()) throw UserError({.where = where, .what = "'weight_map' is empty"});
  return std::move(visitor.weight_map);
}

std::span<const Format> weight_formats() {
  return kFormats;
}

Checkpoint Checkpoint::open(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error))
    throw UserError({.where = directory.string(),
                     .what = fs::exists(directory, error) ? "not a directory" : "there is no such directory",
                     .remedy = "Give the directory that holds config.json and the weights"});
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  for (const Format& format : kFormats) {
    if (is_there(directory / format.single))
      checkpoint.files_.push_back(format.open(directory / format.single));
    else if (is_there(directory / format.index))
      checkpoint.open_shards(format);
    else
      continue;
    checkpoint.format_ = &format;
    break;
  }
  if (!checkpoint.format_) fail_without_weights(directory);
  checkpoint.list_tensors();
  return checkpoint;
}

Checkpoint Checkpoint::of_file(TensorFile file) {
  Checkpoint checkpoint;
  checkpoint.directory_ = file.path().parent_path();
  checkpoint.files_.push_back(std::move(file));
  checkpoint.list_tensors();
  return checkpoint;
}

void Checkpoint::list_tensors() {
  for (std::size_t i = 0; i < files_.size(); ++i)
    for (const TensorInfo& tensor : files_[i].header().tensors)
      tensors_.emplace(tensor.name, StoredTensor{&tensor, i});
}

void Checkpoint::open_shards(const Format& format) {
  const fs::path index = directory_ / format.index;
  sharded_ = true;
  ShardCheck shards(parse_index(read_text(index), index.string(), format.extension));
  files_ = shards.open_files(directory_, format);
  shards.compare(files_);
  if (!shards.problems().empty())
    throw UserError({.where = index.string(),
                     .what = "index and shards do not belong together",
                     .found = list_some(shards.problems()),
                     .remedy = "Was the download cut off?"});
}

std::string Checkpoint::safetensors_name(std::size_t file) const {
  if (format_ && format_->open == open_safetensors) return files_[file].path().filename().string();
  return sharded_ ? shard_name(file, files_.size()) : std::string(kSingleFile);
}

std::uint64_t Checkpoint::data_bytes() const {
  std::uint64_t total = 0;
  for (const TensorFile& file : files_)
    for (const TensorInfo& tensor : file.header().tensors) total += tensor.bytes();
  return total;
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void Checkpoint::read(const StoredTensor& tensor, std::span<std::byte> out) const {
  check(out.size() == tensor.info->bytes(), "the buffer is not as large as the tensor");
  files_[tensor.file].read(*tensor.info, 0, out);
}

}  // namespace regroup::checkpoint
