// Zip archives whose entries are stored as they are: where in the file each one's bytes lie.
//
//   entry …      "PK\3\4", 22 bytes, lengths of name and extra fields, these two, the entry's bytes
//   directory    per entry "PK\1\2": flags, method, sizes, name, where the entry begins
//   its end      "PK\6\6" and "PK\6\7" (zip64), "PK\5\6": where the directory begins, how many entries
//
// (APPNOTE.TXT of PKWARE, 4.3.) Read here because of the libraries at hand libzip does not say where an
// entry's bytes are, and Debian's minizip misreads offsets beyond 4 GiB.
//
// UserError unless every entry is stored (neither compressed nor encrypted) and lies before the directory, no
// name is there twice, and no two entries share bytes. CRCs are not compared: PyTorch does not either, and
// lets the writer leave them out.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/file.h"

namespace regroup::checkpoint {

struct ZipEntry {
  std::uint64_t begin = 0, bytes = 0;  // in the file
  std::uint64_t end() const { return begin + bytes; }
};

bool begins_as_zip(const File& file);

// By name. Touches the directory and the entries' headers only.
std::map<std::string, ZipEntry, std::less<>> stored_entries(const File& file);

}  // namespace regroup::checkpoint
