// Whatever vocab.json, merges.txt and tokenizer_config.json say, opening their directory ends in a tokenizer
// whose ids are inside its vocabulary, or in a UserError. The texts of the three follow each other, apart by
// the byte 1E; an empty third one is a file that is not there.
#include <array>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "tests/fuzz/use_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace regroup;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::array<std::string_view, 3> texts;
  for (std::string_view& text : texts) {
    text = rest.substr(0, rest.find('\x1e'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
  }
  const fuzz::TemporaryFolder folder;
  write_text(folder.path / "vocab.json", texts[0]);
  write_text(folder.path / "merges.txt", texts[1]);
  if (!texts[2].empty()) write_text(folder.path / "tokenizer_config.json", texts[2]);
  try {
    fuzz::use(*tokenizer::open_tokenizer(folder.path));
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
