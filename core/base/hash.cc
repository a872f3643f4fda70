#include "core/base/hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"

namespace regroup {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1, "SHA-256 is not available");
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  check(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1, "SHA-256 failed");
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_of_text(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const File file = File::open_for_reading(path);
  const std::uint64_t size = file.size();
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 4 << 20));
  Sha256 hash;
  for (std::uint64_t offset = 0; offset < size; offset += buffer.size()) {
    const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), size - offset));
    file.read_at(offset, chunk);
    hash.update(chunk);
  }
  return hash.hex();
}

}  // namespace regroup
