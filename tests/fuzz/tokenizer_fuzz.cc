// Whatever the text of a tokenizer.json, opening it ends in a tokenizer whose ids are inside its vocabulary,
// or in a UserError. Patterns of the file's own are left out: Oniguruma has fuzzers itself, and a pattern may
// take any time; those that are built in are matched.
#include <cstring>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/tokenizer/tokenizer_json.h"
#include "tests/fuzz/use_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace regroup;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("Regex") != text.npos) return 0;
  try {
    const auto file = parse_sorted_json(text, "fuzz");
    fuzz::use(*tokenizer::make_tokenizer(file, "fuzz", {.eos = "a", .unknown = "b"}));
  } catch (const UserError& error) {
    fuzz::require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
