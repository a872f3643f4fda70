// Text files as they were before gzip(1) (RFC 1952): read piece by piece, unpacked on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace regroup {

// Reads a file once, from beginning to end. One that begins with gzip's magic is unpacked, whatever its name:
// every member of it, one after the other, each against its own length and CRC; zeros after the last are
// padding. Any other file is read as it lies. Memory: a block of 256 KiB and zlib's window.
class TextReader {
 public:
  explicit TextReader(const std::filesystem::path& path);
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;

  // The next bytes of the text; fewer than out.size() only at its end. UserError naming the file when it
  // cannot be read, is cut off, or is not what its check sums say.
  std::size_t read(std::span<char> out);

 private:
  class Unpacker;
  std::unique_ptr<Unpacker> unpacker_;
};

// The whole text. A few bytes of gzip can stand for any amount of it, so an unpacked text of more than `most`
// bytes is a UserError as soon as that is known; 0: what memory is available.
std::string read_unpacked_text(const std::filesystem::path& path, std::uint64_t most = 0);

}  // namespace regroup
