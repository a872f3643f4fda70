// Numbers as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace regroup {

std::string human_bytes(double bytes);      // 1536 -> "1.5 KiB"
std::string human_count(double count);      // 5868800 -> "5.87 M"
std::string human_seconds(double seconds);  // 75 -> "1m15s"

// "5GB" (10^9), "500MiB" (2^20), "1048576": a positive size in bytes. Decimal and binary units are told apart
// as the hub's tools do. Throws UserError naming `flag`.
std::uint64_t parse_size(std::string_view text, std::string_view flag);

}  // namespace regroup
