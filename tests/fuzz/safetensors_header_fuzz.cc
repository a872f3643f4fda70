// Whatever the bytes of a file, reading its header ends in a header that keeps its promises or in a
// UserError.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/base/error.h"
#include "core/checkpoint/safetensors.h"

namespace {

using namespace regroup;
using namespace regroup::checkpoint;

void require(bool promise) {
  if (!promise) std::abort();
}

void check_header(const FileHeader& header, std::uint64_t file_bytes) {
  std::uint64_t end = 0;
  for (const TensorInfo& tensor : header.tensors) {
    require(tensor.begin == end && tensor.end >= tensor.begin);
    require(static_cast<std::uint64_t>(tensor.elements()) * dtype_bits(tensor.dtype) == tensor.bytes() * 8);
    end = tensor.end;
  }
  require(header.data_begin + end == file_bytes);
}

// Writing the header anew and reading it back changes nothing.
void check_round_trip(FileHeader header) {
  const std::uint64_t data_bytes = header.tensors.empty() ? 0 : header.tensors.back().end;
  const std::string text = encode_safetensors_header(header.tensors, header.metadata);
  header.data_begin = text.size();
  require(parse_safetensors_header(std::as_bytes(std::span(text)), text.size() + data_bytes, "again") ==
          header);
}

}  // namespace

// The input: two bytes that say how much data follows the header, then the header's JSON.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::uint64_t data_bytes = data[0] | data[1] << 8;
  std::string file(8, '\0');
  const std::uint64_t length = size - 2;
  std::memcpy(file.data(), &length, sizeof length);
  file.append(reinterpret_cast<const char*>(data) + 2, length);
  const std::uint64_t file_bytes = file.size() + data_bytes;
  try {
    const auto header = parse_safetensors_header(std::as_bytes(std::span(file)), file_bytes, "fuzz");
    check_header(header, file_bytes);
    check_round_trip(header);
  } catch (const UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  // The same bytes as a file of their own, length and all.
  try {
    parse_safetensors_header(std::as_bytes(std::span(data, size)), size, "fuzz");
  } catch (const UserError&) {
  }
  return 0;
}
