// Checkpoint files made byte by byte, right ones and wrong ones, and the message that the wrong ones get.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/error.h"

namespace regroup::testing {

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

// A safetensors file with this header, unpadded, and this data.
inline std::string safetensors_bytes(const std::string& json, const std::string& data) {
  std::string length(8, '\0');
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(json.size() >> 8 * i & 0xFF);
  return length + json + data;
}

// What the UserError says that `act` throws.
template <typename Act>
std::string message_of(Act act) {
  try {
    act();
  } catch (const UserError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no UserError";
  return "";
}

}  // namespace regroup::testing
