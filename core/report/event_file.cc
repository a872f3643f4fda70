#include "core/report/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cmath>
#include <string>

namespace regroup::report {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

template <typename Number>
std::string raw(Number number) {
  const auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(number);
  return {bytes.data(), bytes.size()};
}

// Protobuf's wire types.
enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

std::string key(unsigned field, Wire wire) {
  return varint(field << 3 | wire);
}

std::string bytes_field(unsigned field, std::string_view bytes) {
  return key(field, kBytes) + varint(bytes.size()) + std::string(bytes);
}

std::string time_field(double wall_time) {
  return key(1, kFixed64) + raw(wall_time);
}

// Protobuf leaves out a number that is 0.
std::string step_field(std::int64_t step) {
  return step == 0 ? "" : key(2, kVarint) + varint(static_cast<std::uint64_t>(step));
}

std::string summary_value(const Scalar& scalar) {
  return bytes_field(1,
                     bytes_field(1, scalar.tag) + key(2, kFixed32) + raw(static_cast<float>(scalar.value)));
}

std::uint32_t masked(std::uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8U;
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// One that does not exist: two runs may begin in one second.
fs::path free_name(const fs::path& folder, double wall_time) {
  const std::string stem =
      fmt::format("events.out.tfevents.{:010.0f}.{}.{}", std::floor(wall_time), host_name(), ::getpid());
  for (int number = 0;; ++number)
    if (const fs::path path = folder / fmt::format("{}.{}", stem, number); !fs::exists(path)) return path;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  constexpr std::uint32_t kPolynomial = 0x82f63b78U;  // bits reversed
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kPolynomial : 0);
  }
  return ~crc;
}

EventFile::EventFile(const fs::path& folder, double wall_time, std::int64_t first_step)
    : file_(File::create(free_name(folder, wall_time))) {
  append_record(time_field(wall_time) + bytes_field(3, "brain.Event:2"));
  constexpr char kStart = 1;
  if (first_step > 0)
    append_record(time_field(wall_time) + step_field(first_step) + bytes_field(7, key(1, kVarint) + kStart));
}

void EventFile::append(std::int64_t step, double wall_time, std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) summary += summary_value(scalar);
  append_record(time_field(wall_time) + step_field(step) + bytes_field(5, summary));
}

void EventFile::append_record(std::string_view event) {
  const std::string length = raw(static_cast<std::uint64_t>(event.size()));
  file_.append(length + raw(masked(crc32c(length))) + std::string(event) + raw(masked(crc32c(event))));
}

}  // namespace regroup::report
