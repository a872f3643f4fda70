// Ids of a text, cut as in `regroup tokenize`, and the text that they decode to, for tokenizer_parity.py.
//
//   tokens TOKENIZER TEXT IDS.i32 DECODED
#include <cstdio>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  using namespace regroup;
  if (argc != 5) return 2;
  try {
    const auto tokenizer = tokenizer::open_tokenizer(argv[1]);
    const std::string text = read_text(argv[2]);
    std::vector<tokenizer::Token> ids;
    for (const std::string_view part : tokenizer->parts(text))
      for (const tokenizer::Token id : tokenizer->encode(part)) ids.push_back(id);
    write_text(argv[3], {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ids[0])});
    write_text(argv[4], tokenizer->decode(ids));
  } catch (const UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
