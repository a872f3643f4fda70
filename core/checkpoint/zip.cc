#include "core/checkpoint/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/checkpoint/json_events.h"
#include "core/checkpoint/tensor_file.h"

namespace regroup::checkpoint {
namespace {

using Entries = std::map<std::string, ZipEntry, std::less<>>;

constexpr std::string_view kLocalHeader = "PK\3\4", kDirectoryHeader = "PK\1\2", kEnd64 = "PK\6\6",
                           kLocator64 = "PK\6\7", kEnd = "PK\5\6";
constexpr std::size_t kLocalHeaderBytes = 30, kDirectoryHeaderBytes = 46, kEnd64Bytes = 56,
                      kLocator64Bytes = 20, kEndBytes = 22;
constexpr std::uint64_t kLongestComment = 0xffff;
constexpr std::uint64_t kLargestDirectory = 256 << 20;  // some two million entries
constexpr std::uint64_t kIn64 = 0xffffffff;             // a field that is in the zip64 extra field instead
constexpr std::uint64_t kId64 = 1;                      // of that field
constexpr std::uint64_t kEncrypted = 1;                 // bit of the flags

// Little-endian.
std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

struct Directory {
  std::uint64_t begin = 0, bytes = 0, entries = 0;
};

class Archive {
 public:
  explicit Archive(const File& file) : file_(file), size_(file.size()), directory_(find_directory()) {}

  Entries entries() const {
    if (directory_.bytes > kLargestDirectory)
      fail("has a directory of " + std::to_string(directory_.bytes) + " bytes");
    const std::string text = read(directory_.begin, directory_.bytes);
    Entries entries;
    std::size_t at = 0;
    for (std::uint64_t i = 0; i < directory_.entries; ++i)
      at += add_entry(std::string_view(text).substr(at), entries);
    if (at != text.size()) fail_damaged();
    require_apart(entries);
    return entries;
  }

 private:
  // The end of the directory is the last thing in the file but for a comment, of which it knows the length.
  Directory find_directory() const {
    const std::uint64_t tail_bytes = std::min(size_, kEndBytes + kLongestComment);
    const std::uint64_t tail_begin = size_ - tail_bytes;
    const std::string tail = read(tail_begin, tail_bytes);
    for (std::size_t at = tail.rfind(kEnd); at != std::string::npos && tail.size() >= kEndBytes;
         at = at == 0 ? std::string::npos : tail.rfind(kEnd, at - 1)) {
      const std::string_view end = std::string_view(tail).substr(at);
      if (end.size() < kEndBytes || end.size() - kEndBytes != number(end, 20, 2)) continue;
      Directory directory = directory64(tail_begin + at);
      if (directory.entries == 0 && directory.begin == 0)
        directory = {.begin = number(end, 16, 4), .bytes = number(end, 12, 4), .entries = number(end, 10, 2)};
      if (directory.begin > tail_begin + at || directory.bytes > tail_begin + at - directory.begin)
        fail_damaged();
      return directory;
    }
    fail("has no directory", kCutOff);
  }

  // What the zip64 end of the directory says; nothing if there is none before `end`.
  Directory directory64(std::uint64_t end) const {
    if (end < kLocator64Bytes) return {};
    const std::string locator = read(end - kLocator64Bytes, kLocator64Bytes);
    if (!locator.starts_with(kLocator64)) return {};
    const std::uint64_t at = number(locator, 8, 8);
    if (at > end || end - at < kEnd64Bytes + kLocator64Bytes) fail_damaged();
    const std::string end64 = read(at, kEnd64Bytes);
    if (!end64.starts_with(kEnd64)) fail_damaged();
    return {.begin = number(end64, 48, 8), .bytes = number(end64, 40, 8), .entries = number(end64, 32, 8)};
  }

  // The entry with whose header `directory` begins. Returns the header's length.
  std::size_t add_entry(std::string_view directory, Entries& entries) const {
    if (directory.size() < kDirectoryHeaderBytes || !directory.starts_with(kDirectoryHeader)) fail_damaged();
    const std::uint64_t flags = number(directory, 8, 2), method = number(directory, 10, 2);
    const std::size_t name_bytes = number(directory, 28, 2), extra_bytes = number(directory, 30, 2),
                      comment_bytes = number(directory, 32, 2);
    const std::size_t bytes = kDirectoryHeaderBytes + name_bytes + extra_bytes + comment_bytes;
    if (directory.size() < bytes) fail_damaged();
    const std::string_view name = directory.substr(kDirectoryHeaderBytes, name_bytes);
    std::array fields = {number(directory, 24, 4), number(directory, 20, 4), number(directory, 42, 4)};
    widen(fields, directory.substr(kDirectoryHeaderBytes + name_bytes, extra_bytes));
    const auto [data_bytes, stored_bytes, header_begin] = fields;
    if (flags & kEncrypted) fail_entry(name, "is encrypted");
    if (method != 0 || data_bytes != stored_bytes)
      fail_entry(name, "is compressed, which torch.save never does",
                 "Load the file and torch.save() its state_dict()");
    const std::uint64_t begin = data_begin(name, header_begin);
    if (data_bytes > directory_.begin - begin)
      fail_entry(name, "ends beyond the entries' part of the file", kCutOff);
    if (!entries.emplace(name, ZipEntry{.begin = begin, .bytes = data_bytes}).second)
      fail_entry(name, "is there twice");
    return bytes;
  }

  // Takes the fields that do not fit 32 bits from the zip64 extra field, which holds these only.
  void widen(std::array<std::uint64_t, 3>& fields, std::string_view extra) const {
    while (extra.size() >= 4 && number(extra, 0, 2) != kId64)
      extra.remove_prefix(std::min<std::size_t>(extra.size(), 4 + number(extra, 2, 2)));
    if (extra.size() < 4) return;
    std::string_view wide = extra.substr(4, number(extra, 2, 2));
    for (std::uint64_t& field : fields) {
      if (field != kIn64) continue;
      if (wide.size() < 8) fail_damaged();
      field = number(wide, 0, 8);
      wide.remove_prefix(8);
    }
  }

  // Past the entry's own header, which has a name and extra fields of its own lengths.
  std::uint64_t data_begin(std::string_view name, std::uint64_t header_begin) const {
    const auto require = [&](bool right) {
      if (!right) fail_entry(name, "does not begin where the archive's directory says", kCutOff);
    };
    require(header_begin <= directory_.begin && directory_.begin - header_begin >= kLocalHeaderBytes);
    const std::string header = read(header_begin, kLocalHeaderBytes);
    require(header.starts_with(kLocalHeader));
    const std::uint64_t begin =
        header_begin + kLocalHeaderBytes + number(header, 26, 2) + number(header, 28, 2);
    require(begin <= directory_.begin);
    return begin;
  }

  void require_apart(const Entries& entries) const {
    std::vector<std::pair<ZipEntry, std::string_view>> in_order;
    for (const auto& [name, entry] : entries)
      if (entry.bytes > 0) in_order.emplace_back(entry, name);
    std::ranges::sort(in_order, {}, [](const auto& item) { return item.first.begin; });
    for (std::size_t i = 1; i < in_order.size(); ++i)
      if (in_order[i].first.begin < in_order[i - 1].first.end())
        fail_entry(in_order[i].second, "shares bytes with entry " + in_quotes(in_order[i - 1].second));
  }

  std::string read(std::uint64_t begin, std::uint64_t bytes) const {
    std::string text(bytes, '\0');
    file_.read_at(begin, std::as_writable_bytes(std::span(text)));
    return text;
  }

  [[noreturn]] void fail(const std::string& what, std::string remedy = "") const {
    throw UserError(
        {.where = file_.path().string(), .what = "the zip archive " + what, .remedy = std::move(remedy)});
  }
  [[noreturn]] void fail_damaged() const { fail("has a damaged directory", kCutOff); }
  [[noreturn]] void fail_entry(std::string_view name, const std::string& what,
                               std::string remedy = "") const {
    throw UserError({.where = file_.path().string(),
                     .what = fmt::format("entry {} of the zip archive {}", in_quotes(name), what),
                     .remedy = std::move(remedy)});
  }

  const File& file_;
  std::uint64_t size_;
  Directory directory_;
};

}  // namespace

bool begins_as_zip(const File& file) {
  std::array<std::byte, kLocalHeader.size()> begin{};
  const std::size_t got = file.read_up_to(0, begin);
  return std::string_view(reinterpret_cast<const char*>(begin.data()), got) == kLocalHeader;
}

Entries stored_entries(const File& file) {
  return Archive(file).entries();
}

}  // namespace regroup::checkpoint
