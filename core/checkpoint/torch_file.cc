#include "core/checkpoint/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/checkpoint/json_events.h"
#include "core/checkpoint/pickle.h"
#include "core/checkpoint/safetensors.h"

namespace regroup::checkpoint {
namespace {

using Kind = Pickle::Kind;
using Ref = Pickle::Ref;
using Value = Pickle::Value;
using Entries = std::map<std::string, ZipEntry, std::less<>>;

constexpr std::uint64_t kLargestPickle = 64 << 20;
constexpr std::size_t kMostDimensions = 64;
constexpr const char* kSaveAgain =
    "Load it with from_pretrained() and save it again with save_pretrained(), which writes safetensors";

constexpr std::string_view kOrderedDict = "collections.OrderedDict", kSize = "torch.Size",
                           kTensor = "torch._utils._rebuild_tensor_v2",
                           kTensorOfDtype = "torch._utils._rebuild_tensor_v3",
                           kParameter = "torch._utils._rebuild_parameter",
                           kParameterWithState = "torch._utils._rebuild_parameter_with_state",
                           kUntypedStorage = "torch.storage.UntypedStorage";

constexpr std::array<std::string_view, 7> kCallables = {
    kOrderedDict, kSize, kTensor, kTensorOfDtype, kParameter, kParameterWithState, kUntypedStorage};

// Storages with a type, and the types that only a tensor of an untyped storage has.
constexpr std::array<std::pair<std::string_view, DType>, 18> kTypes = {
    {{"torch.DoubleStorage", DType::kF64},
     {"torch.FloatStorage", DType::kF32},
     {"torch.HalfStorage", DType::kF16},
     {"torch.BFloat16Storage", DType::kBF16},
     {"torch.LongStorage", DType::kI64},
     {"torch.IntStorage", DType::kI32},
     {"torch.ShortStorage", DType::kI16},
     {"torch.CharStorage", DType::kI8},
     {"torch.ByteStorage", DType::kU8},
     {"torch.BoolStorage", DType::kBool},
     {"torch.uint16", DType::kU16},
     {"torch.uint32", DType::kU32},
     {"torch.uint64", DType::kU64},
     {"torch.float8_e4m3fn", DType::kF8E4M3},
     {"torch.float8_e5m2", DType::kF8E5M2},
     {"torch.float8_e4m3fnuz", DType::kF8E4M3Fnuz},
     {"torch.float8_e5m2fnuz", DType::kF8E5M2Fnuz},
     {"torch.float8_e8m0fnu", DType::kF8E8M0}}};

std::optional<DType> type_named(std::string_view global) {
  const auto found = std::ranges::find(kTypes, global, &std::pair<std::string_view, DType>::first);
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

bool allowed(std::string_view global) {
  return std::ranges::find(kCallables, global) != kCallables.end() || type_named(global);
}

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a truth value";
    case Kind::kInt:
    case Kind::kNumber:
      return "a number";
    case Kind::kText:
      return "text";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dictionary";
    default:
      return "an object";
  }
}

// The elements of a strided view lie one after the other. (A size of 1 is never stepped along.)
bool in_order(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  if (std::ranges::find(shape, 0) != shape.end()) return true;
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != step) return false;
    if (__builtin_mul_overflow(step, shape[i], &step)) return false;
  }
  return true;
}

class StateDict {
 public:
  StateDict(std::span<const std::byte> pickle, const Entries& storages, const std::string& where)
      : pickle_(pickle, allowed, where), storages_(storages), where_(where) {}

  std::vector<TensorInfo> tensors() {
    const Value& top = pickle_.top();
    if (top.kind != Kind::kDict && !is_call(top, kOrderedDict))
      throw UserError({.where = where_,
                       .what = "not a dictionary of tensors",
                       .found = kind_name(top.kind),
                       .remedy = "torch.save() the model's state_dict()"});
    std::vector<TensorInfo> tensors;
    std::set<std::string_view> names;
    for (std::size_t i = 0; i + 1 < top.items.size(); i += 2) {
      tensors.push_back(tensor(pickle_[top.items[i]], pickle_[top.items[i + 1]]));
      if (!names.insert(pickle_[top.items[i]].text).second) fail_tensor("is there twice");
    }
    return tensors;
  }

 private:
  struct Storage {
    std::optional<DType> dtype;  // none: untyped
    ZipEntry entry;
  };

  TensorInfo tensor(const Value& name, const Value& value) {
    if (name.kind != Kind::kText)
      throw UserError(
          {.where = where_, .what = "a tensor's name", .expected = "text", .found = kind_name(name.kind)});
    name_ = name.text;
    if (!is_utf8(name.text)) fail_tensor("has a name that is not UTF-8");
    const bool parameter = is_call(value, kParameter) || is_call(value, kParameterWithState);
    if (parameter && arguments(value).empty()) fail_tensor("is a parameter without a tensor");
    const Value& rebuilt = parameter ? pickle_[arguments(value).front()] : value;
    const bool typed = is_call(rebuilt, kTensor);
    if (!typed && !is_call(rebuilt, kTensorOfDtype))
      throw UserError({.where = where_,
                       .what = fmt::format("entry {} is not a tensor", in_quotes(name_)),
                       .found = kind_name(rebuilt.kind),
                       .remedy = "torch.save() the model's state_dict(), and nothing else"});
    return view(arguments(rebuilt), typed);
  }

  // (storage, offset, size, strides, requires_grad, hooks), then dtype where the storage has none, then what
  // turns the values into others.
  TensorInfo view(const std::vector<Ref>& values, bool typed) {
    const std::size_t least = typed ? 6 : 7;
    if (values.size() < least || values.size() > least + 1) fail_tensor("has another number of arguments");
    if (values.size() > least && !pickle_[values.back()].items.empty())
      fail_tensor("is a conjugate or negative view", kSaveAgain);
    Storage storage = storage_of(pickle_[values[0]]);
    if (!typed) storage.dtype = type_named(pickle_[values[6]].text);
    if (!storage.dtype) fail_tensor("has no type");
    TensorInfo info{.name = name_, .dtype = *storage.dtype, .shape = sizes(pickle_[values[2]])};
    const std::vector<std::int64_t> strides = sizes(pickle_[values[3]]);
    if (strides.size() != info.shape.size()) fail_tensor("has more or fewer strides than sizes");
    if (bits_of(info.dtype, info.shape) && !in_order(info.shape, strides))
      throw UserError(
          {.where = where_,
           .what = fmt::format("tensor {} is not stored in the order of its elements (a "
                               "transposed or strided view)",
                               in_quotes(name_)),
           .found = fmt::format("shape {} with strides {}", shape_text(info.shape), shape_text(strides)),
           .remedy = kSaveAgain});
    place(info, storage.entry, size(pickle_[values[1]]));
    return info;
  }

  void place(TensorInfo& info, const ZipEntry& entry, std::int64_t offset) const {
    const auto bits = bits_of(info.dtype, info.shape);
    std::uint64_t begin = 0, end = 0;
    const bool beyond =
        !bits ||
        __builtin_mul_overflow(static_cast<std::uint64_t>(offset), dtype_bits(info.dtype) / 8, &begin) ||
        __builtin_add_overflow(begin, *bits / 8, &end) || end > entry.bytes;
    if (beyond)
      fail_tensor(fmt::format("does not fit its storage: {} of {} at element {}, in {} bytes",
                              dtype_name(info.dtype), shape_text(info.shape), offset, entry.bytes));
    info.begin = entry.begin + begin;
    info.end = entry.begin + end;
  }

  // ('storage', type, key, device, elements)
  Storage storage_of(const Value& value) const {
    if (value.kind != Kind::kPersistent) fail_tensor("has no storage");
    const Value& id = pickle_[value.arguments];
    if (id.kind != Kind::kTuple || id.items.size() != 5 || pickle_[id.items[0]].text != "storage")
      fail_tensor("has a storage that torch.save does not write");
    const Value &type = pickle_[id.items[1]], &key = pickle_[id.items[2]];
    Storage storage{.dtype = type_named(type.text), .entry = {}};
    if (!storage.dtype && type.text != kUntypedStorage) fail_tensor("has a storage of no known type");
    const auto entry = storages_.find(key.text);
    if (key.kind != Kind::kText || entry == storages_.end())
      fail_tensor(fmt::format("has a storage that the archive lacks: {}", in_quotes("data/" + key.text)),
                  kCutOff);
    storage.entry = entry->second;
    const std::array elements = {size(pickle_[id.items[4]])};
    const auto bits = bits_of(storage.dtype.value_or(DType::kU8), elements);
    if (!bits || *bits / 8 != storage.entry.bytes)
      fail_tensor(fmt::format("has a storage of {} elements of {} in an entry of {} bytes", elements[0],
                              dtype_name(storage.dtype.value_or(DType::kU8)), storage.entry.bytes));
    return storage;
  }

  // Of a tuple, or of torch.Size(tuple).
  std::vector<std::int64_t> sizes(const Value& value) const {
    const bool wrapped = is_call(value, kSize) && arguments(value).size() == 1;
    const Value& tuple = wrapped ? pickle_[arguments(value).front()] : value;
    if (tuple.kind != Kind::kTuple || tuple.items.size() > kMostDimensions)
      fail_tensor(fmt::format("has no shape of at most {} sizes", kMostDimensions));
    std::vector<std::int64_t> sizes;
    for (const Ref item : tuple.items) sizes.push_back(size(pickle_[item]));
    return sizes;
  }

  std::int64_t size(const Value& value) const {
    if (value.kind != Kind::kInt || value.integer < 0)
      fail_tensor("has a size, stride or offset that is not a whole number from 0 on");
    return value.integer;
  }

  bool is_call(const Value& value, std::string_view global) const {
    return value.kind == Kind::kCall && pickle_[value.callable].text == global;
  }
  const std::vector<Ref>& arguments(const Value& call) const { return pickle_[call.arguments].items; }

  [[noreturn]] void fail_tensor(const std::string& what, std::string remedy = "") const {
    throw UserError({.where = where_,
                     .what = fmt::format("tensor {} {}", in_quotes(name_), what),
                     .remedy = std::move(remedy)});
  }

  Pickle pickle_;
  const Entries& storages_;
  const std::string& where_;
  std::string name_;  // of the tensor being read
};

// Before 1.6 torch.save wrote five pickles, the first of which is this number.
constexpr std::string_view kLegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

[[noreturn]] void fail_not_zip(const File& file) {
  const std::string where = file.path().string();
  std::array<std::byte, 64> prefix{};
  const std::size_t got = file.read_up_to(0, prefix);
  refuse_lfs_pointer(std::span(prefix).first(got), where);
  const std::string_view text(reinterpret_cast<const char*>(prefix.data()), got);
  if (text.size() > 2 && text.substr(2).starts_with(kLegacyMagic))
    throw UserError({.where = where,
                     .what = "saved in the format of PyTorch before 1.6, which is not read",
                     .remedy = kSaveAgain});
  throw UserError({.where = where,
                   .what = "not a file of torch.save",
                   .expected = "a zip archive",
                   .found = got == 0                   ? "an empty file"
                            : text.starts_with('\x80') ? "a bare pickle"
                                                       : "something else"});
}

// "NAME", where the archive holds NAME/data.pkl.
std::string root_of(const Entries& entries, const std::string& where) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::vector<std::string> roots;
  for (const auto& [name, entry] : entries)
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size())
      roots.push_back(name.substr(0, name.size() - kPickle.size()));
  if (roots.size() != 1)
    throw UserError({.where = where,
                     .what = "not a file of torch.save: a zip archive",
                     .expected = "one NAME/data.pkl",
                     .found = roots.empty() ? "none" : list_some(roots)});
  return roots[0];
}

std::vector<std::byte> read_entry(const File& file, const std::string& name, const ZipEntry& entry,
                                  std::uint64_t most) {
  if (entry.bytes > most)
    throw UserError({.where = file.path().string(),
                     .what = "entry " + in_quotes(name) + " is too large",
                     .expected = fmt::format("at most {} bytes", most),
                     .found = std::to_string(entry.bytes)});
  std::vector<std::byte> bytes(entry.bytes);
  file.read_at(entry.begin, bytes);
  return bytes;
}

void require_little_endian(const File& file, const Entries& entries, const std::string& root) {
  const auto entry = entries.find(root + "/byteorder");
  if (entry == entries.end()) return;
  const std::vector<std::byte> bytes = read_entry(file, entry->first, entry->second, 64);
  const std::string order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (order != "little")
    throw UserError({.where = file.path().string(),
                     .what = "byte order of the tensors",
                     .expected = "'little'",
                     .found = in_quotes(order),
                     .remedy = kSaveAgain});
}

}  // namespace

std::vector<TensorInfo> parse_state_dict(std::span<const std::byte> pickle, const Entries& storages,
                                         const std::string& where) {
  return StateDict(pickle, storages, where).tensors();
}

TensorFile open_torch_file(const std::filesystem::path& path) {
  File file = File::open_for_reading(path);
  if (!begins_as_zip(file)) fail_not_zip(file);
  const Entries entries = stored_entries(file);
  const std::string root = root_of(entries, path.string());
  require_little_endian(file, entries, root);
  Entries storages;
  const std::string prefix = root + "/data/";
  for (const auto& [name, entry] : entries)
    if (name.starts_with(prefix)) storages.emplace(name.substr(prefix.size()), entry);
  const std::string pickle = root + "/data.pkl";
  FileHeader header{.tensors = parse_state_dict(read_entry(file, pickle, entries.at(pickle), kLargestPickle),
                                                storages, path.string()),
                    .metadata = {{"format", "pt"}}};
  sort_as_reference(header.tensors);
  return {std::move(file), std::move(header)};
}

}  // namespace regroup::checkpoint
