// Whatever the text of a tokenizer.json, opening it ends in a tokenizer whose ids are inside its vocabulary,
// or in a UserError. Patterns of the file's own are left out: Oniguruma has fuzzers itself, and a pattern may
// take any time; those that are built in are matched.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/tokenizer/tokenizer_json.h"

namespace {

using namespace regroup::tokenizer;

void require(bool promise) {
  if (!promise) std::abort();
}

void use(const Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      "The can't\n\n  a1234 \xe2\x96\x81\xc3\xa9\xe4\xb8\x80\xf0\x9f\x98\x80 <s> b\xff";
  const auto size = tokenizer.vocab_size();
  const auto ids = tokenizer.encode(kText);
  for (const Token id : ids) require(id >= 0 && id < size);
  if (const auto start = tokenizer.document_start()) require(*start >= 0 && *start < size);
  tokenizer.decode(ids);
  tokenizer.decode(std::vector<Token>{-1, 0, 1, 2, 1 << 30});
  require(static_cast<std::int64_t>(tokenizer.vocabulary().pieces.size()) == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("Regex") != text.npos) return 0;
  try {
    const auto file = regroup::parse_sorted_json(text, "fuzz");
    use(*make_tokenizer(file, "fuzz", {.eos = "a", .unknown = "b"}));
  } catch (const regroup::UserError& error) {
    require(std::strlen(error.what()) < 2000);
  }
  return 0;
}
