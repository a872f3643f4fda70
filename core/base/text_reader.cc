#include "core/base/text_reader.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/memory.h"
#include "core/base/units.h"

namespace regroup {

namespace {

constexpr std::size_t kBlock = 256 << 10;

bool begins_as_gzip(const File& file) {
  std::array<std::byte, 2> magic{};
  return file.read_up_to(0, magic) == 2 && magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b};
}

}  // namespace

class TextReader::Unpacker {
 public:
  explicit Unpacker(const std::filesystem::path& path)
      : file_(File::open_for_reading(path)), packed_(begins_as_gzip(file_)) {
    if (!packed_) return;
    block_.resize(kBlock);
    constexpr int kGzipOnly = 16;
    check(inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK, "zlib is not available");
  }
  ~Unpacker() {
    if (packed_) inflateEnd(&stream_);
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  std::size_t read(std::span<char> out) {
    if (packed_) return unpack(out);
    const std::size_t got = file_.read_up_to(offset_, std::as_writable_bytes(out));
    offset_ += got;
    return got;
  }

 private:
  std::size_t unpack(std::span<char> out) {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      if (stream_.avail_in == 0) fill();
      if (between_members_ && !start_member()) continue;
      const auto room = static_cast<uInt>(std::min<std::size_t>(out.size() - done, 1 << 30));
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + done);
      stream_.avail_out = room;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      done += room - stream_.avail_out;
      if (result == Z_STREAM_END) {
        between_members_ = true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        damaged(stream_.msg != nullptr ? stream_.msg : "what gzip does not write");
      } else if (stream_.avail_in == 0 && stream_.avail_out > 0 && offset_ == file_.size()) {
        cut_off();
      }
    }
    return done;
  }

  void fill() {
    stream_.next_in = block_.data();
    stream_.avail_in =
        static_cast<uInt>(file_.read_up_to(offset_, std::as_writable_bytes(std::span(block_))));
    offset_ += stream_.avail_in;
  }

  // Between two members, or after the last. False: nothing begins in what has been read.
  bool start_member() {
    Bytef* const begin = stream_.next_in;
    Bytef* const end = begin + stream_.avail_in;
    stream_.next_in = std::find_if(begin, end, [](Bytef byte) { return byte != 0; });
    stream_.avail_in = static_cast<uInt>(end - stream_.next_in);
    padded_ |= stream_.next_in != begin;
    if (stream_.avail_in == 0) {
      ended_ = offset_ == file_.size();
      return false;
    }
    if (padded_ || *stream_.next_in != 0x1f) damaged("something else after the compressed text");
    inflateReset(&stream_);
    between_members_ = false;
    return true;
  }

  [[noreturn]] void damaged(const std::string& found) const {
    throw UserError({.where = file_.path().string(),
                     .what = "its gzip compression is damaged",
                     .found = found,
                     .remedy = "Fetch it again, or make it again"});
  }

  [[noreturn]] void cut_off() const {
    throw UserError({.where = file_.path().string(),
                     .what = "its gzip compression ends too early",
                     .found = std::to_string(file_.size()) + " bytes",
                     .remedy = "Was the download cut off?"});
  }

  File file_;
  bool packed_, between_members_ = false, padded_ = false, ended_ = false;
  std::uint64_t offset_ = 0;  // of the next byte to be read from the file
  std::vector<Bytef> block_;
  z_stream stream_{};
};

TextReader::TextReader(const std::filesystem::path& path) : unpacker_(std::make_unique<Unpacker>(path)) {}

TextReader::~TextReader() = default;

std::size_t TextReader::read(std::span<char> out) {
  return unpacker_->read(out);
}

namespace {

std::uint64_t unpacked_size(const std::filesystem::path& path, std::uint64_t most) {
  TextReader reader(path);
  std::vector<char> block(kBlock);
  std::uint64_t size = 0;
  for (std::size_t got = block.size(); got == block.size();) {
    got = reader.read(block);
    size += got;
    if (size > most)
      throw UserError({.where = path.string(),
                       .what = "too long a text to hold",
                       .expected = "at most " + human_bytes(static_cast<double>(most)),
                       .found = "more than that",
                       .remedy = "Give a part of it, or token shards made from parts of it"});
  }
  return size;
}

}  // namespace

std::string read_unpacked_text(const std::filesystem::path& path, std::uint64_t most) {
  // Counted before it is held: growing a string would take twice its memory.
  const std::uint64_t size = unpacked_size(path, most > 0 ? most : available_host_memory());
  std::string text(size, '\0');
  text.resize(TextReader(path).read(text));
  return text;
}

}  // namespace regroup
