// Scalars along a run as TensorBoard reads them: an event file, `events.out.tfevents.*`.
//
// A file is records one after the other (TFRecord, tensorflow/core/lib/io/record_writer.h):
//
//   uint64 length   uint32 masked crc32c of the length   `length` bytes   uint32 masked crc32c of the bytes
//
// Each is a protobuf message `Event` (tensorflow/core/util/event.proto): 1 double wall_time, 2 int64 step,
// 3 string file_version, 5 Summary { 1 Value { 1 string tag, 2 float simple_value } … }, 7 SessionLog { 1
// status }. The first holds the version alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "core/base/file.h"

namespace regroup::report {

struct Scalar {
  std::string_view tag;  // "loss/train"; TensorBoard groups by what stands before the slash
  double value = 0;
};

// Grows record by record; each is handed to the system whole before append() returns, so a killed run leaves
// what it has shown. A resumed run makes another file in the same folder.
class EventFile {
 public:
  // A new file in `folder`, which exists; `wall_time` is in seconds since 1970. From `first_step` on, what
  // earlier files of the folder say is superseded (a SessionLog START, as TensorBoard has it). UserError if
  // it cannot be written.
  EventFile(const std::filesystem::path& folder, double wall_time, std::int64_t first_step = 0);

  void append(std::int64_t step, double wall_time, std::span<const Scalar> scalars);
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  void append_record(std::string_view event);
  File file_;
};

// CRC-32C (RFC 3720, appendix B.4), not masked.
std::uint32_t crc32c(std::string_view bytes);

}  // namespace regroup::report
