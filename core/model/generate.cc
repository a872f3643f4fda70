#include "core/model/generate.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/model/decoder.h"
#include "core/model/device.h"
#include "core/model/sample.h"

namespace regroup::model {
namespace {

using tokenizer::Token;

void validate(const GenerateOptions& options) {
  if (options.max_new_tokens < 1)
    throw UserError({.where = "--max-new-tokens",
                     .expected = "at least 1",
                     .found = std::to_string(options.max_new_tokens)});
  if (!(options.temperature >= 0 && options.temperature <= 1e6))
    throw UserError({.where = "--temperature",
                     .expected = "0 (greedy) or more",
                     .found = fmt::format("{}", options.temperature)});
  if (!(options.top_p > 0 && options.top_p <= 1))
    throw UserError(
        {.where = "--top-p", .expected = "above 0 and at most 1", .found = fmt::format("{}", options.top_p)});
}

void validate_prompt(const family::ModelConfig& config, std::span<const Token> prompt) {
  if (prompt.empty())
    throw UserError({.where = "--prompt",
                     .what = "empty, and the tokenizer has no token that a document starts with",
                     .remedy = "Give some text to continue"});
  if (static_cast<std::int64_t>(prompt.size()) >= config.max_positions)
    throw UserError(
        {.where = "--prompt",
         .what = "too long",
         .expected = fmt::format("fewer tokens than the model's {} positions", config.max_positions),
         .found = std::to_string(prompt.size())});
  const Token highest = std::ranges::max(prompt);
  if (std::ranges::min(prompt) < 0 || highest >= config.vocab_size)
    throw UserError({.where = "--prompt",
                     .what = fmt::format("token id {} is beyond the model's vocabulary of {}", highest,
                                         config.vocab_size),
                     .remedy = "Model and tokenizer do not belong together"});
}

using Tokens = std::vector<Token>;

// Ids [begin, end) of every row, [B, end - begin].
at::Tensor columns(const std::vector<Tokens>& rows, std::size_t begin) {
  const std::size_t count = rows.front().size() - begin;
  const at::Tensor ids_BT =
      at::empty({std::ssize(rows), static_cast<std::int64_t>(count)}, at::TensorOptions(at::kLong));
  auto* out = ids_BT.mutable_data_ptr<std::int64_t>();
  for (const Tokens& row : rows)
    out = std::copy(row.begin() + static_cast<std::ptrdiff_t>(begin), row.end(), out);
  return ids_BT;
}

// Logits of the token after the last of `tokens_BT`, in fp64 on the CPU, [B, V].
at::Tensor next_logits(const Decoder& decoder, const at::Tensor& tokens_BT, KvCache* cache) {
  const at::Tensor last_BM = decoder.hidden_states(tokens_BT, cache).select(1, -1);
  const at::Tensor logits_BV = decoder.logits(last_BM).to(at::kCPU, at::kDouble).contiguous();
  if (!at::isfinite(logits_BV).all().item<bool>())
    throw UserError({.where = "the model's logits are not finite", .remedy = "Choose a wider --dtype"});
  return logits_BV;
}

// Continues rows of equal length to `length` tokens, each from its stream, for as long as `accept` says so of
// the tokens that would come next, which it may replace.
void continue_rows(const Decoder& decoder, std::vector<Tokens>& rows, std::int64_t length,
                   const GenerateOptions& options, std::vector<RandomStream>& streams,
                   const std::function<bool(Tokens&)>& accept) {
  const c10::NoGradGuard no_grad;
  const at::TensorOptions weights = decoder.output_projection().options();
  const std::int64_t batch = std::ssize(rows);
  std::optional<KvCache> cache;
  if (options.use_cache) cache.emplace(decoder.config(), batch, length, weights);
  Tokens next(rows.size());
  while (std::ssize(rows.front()) < length) {
    const at::Tensor new_BT = columns(rows, cache ? static_cast<std::size_t>(cache->length()) : 0);
    const at::Tensor logits_BV = next_logits(decoder, new_BT.to(weights.device()), cache ? &*cache : nullptr);
    const auto* logits = logits_BV.const_data_ptr<double>();
    const std::int64_t vocab = logits_BV.size(1);
    at::parallel_for(0, batch, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::span<const double> row(logits + i * vocab, static_cast<std::size_t>(vocab));
        const auto index = static_cast<std::size_t>(i);
        next[index] = options.temperature == 0
                          ? likeliest_token(row)
                          : sample_token(row, options.temperature, options.top_p, streams[index]);
      }
    });
    if (!accept(next)) return;
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].push_back(next[i]);
  }
}

std::string_view stored_type_name(const family::ModelDirectory& model) {
  switch (model.dtype()) {
    case checkpoint::DType::kF64:
      return "fp64";
    case checkpoint::DType::kF16:
      return "fp16";
    case checkpoint::DType::kBF16:
      return "bf16";
    default:
      return "fp32";
  }
}

// Text of a growing row of tokens, handed out as far as it is settled: a character whose bytes are spread
// over several tokens reads as U+FFFD until the last of them is there.
class TextStream {
 public:
  TextStream(const tokenizer::Tokenizer& tokenizer, std::vector<Token> tokens)
      : tokenizer_(tokenizer), tokens_(std::move(tokens)), handed_out_(tokenizer_.decode(tokens_).size()) {}

  void add(Token token, const std::function<void(std::string_view)>& emit) {
    tokens_.push_back(token);
    const std::string text = tokenizer_.decode(tokens_);
    std::size_t settled = text.size();
    while (std::string_view(text).substr(0, settled).ends_with(kReplacement)) settled -= kReplacement.size();
    hand_out(text, settled, emit);
  }

  void finish(const std::function<void(std::string_view)>& emit) {
    const std::string text = tokenizer_.decode(tokens_);
    hand_out(text, text.size(), emit);
  }

 private:
  static constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

  void hand_out(const std::string& text, std::size_t end, const std::function<void(std::string_view)>& emit) {
    if (end <= handed_out_) return;
    emit(std::string_view(text).substr(handed_out_, end - handed_out_));
    handed_out_ = end;
  }

  const tokenizer::Tokenizer& tokenizer_;
  std::vector<Token> tokens_;
  std::size_t handed_out_;
};

}  // namespace

std::vector<Token> generate(const Decoder& decoder, std::span<const Token> prompt, std::optional<Token> end,
                            const GenerateOptions& options, const std::function<void(Token)>& emit) {
  validate(options);
  validate_prompt(decoder.config(), prompt);
  const auto length = static_cast<std::int64_t>(prompt.size());
  std::vector<Tokens> text = {Tokens(prompt.begin(), prompt.end())};
  std::vector<RandomStream> stream = {RandomStream(options.seed, "generate")};
  continue_rows(decoder, text, std::min(length + options.max_new_tokens, decoder.config().max_positions),
                options, stream, [&](const Tokens& next) {
                  if (next.front() == end) return false;
                  if (emit) emit(next.front());
                  return true;
                });
  return {text.front().begin() + length, text.front().end()};
}

void generate_rows(const Decoder& decoder, std::vector<Tokens>& rows, std::int64_t length,
                   const DocumentMarks& marks, const GenerateOptions& options, std::int64_t first,
                   const std::function<void(std::int64_t)>& done) {
  validate(options);
  std::vector<RandomStream> streams;
  for (const Tokens& row : rows) {
    validate_prompt(decoder.config(), row);
    check(row.size() == rows.front().size(), "rows that are continued together are equally long");
    streams.emplace_back(options.seed, fmt::format("generate/{}", first++));
  }
  check(length <= decoder.config().max_positions, "a row longer than the model's positions");
  continue_rows(decoder, rows, length, options, streams, [&](Tokens& next) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].back() == marks.end) next[i] = marks.start;
    if (done) done(std::ssize(next));
    return true;
  });
}

void generate_text(const TextModel& model, std::string_view prompt, const GenerateOptions& options,
                   const std::function<void(std::string_view)>& emit) {
  validate(options);
  const at::Device device = open_device(model.device);
  const family::ModelDirectory directory = family::open_model(model.directory);
  const std::string type(model.dtype == "auto" ? stored_type_name(directory) : std::string_view(model.dtype));
  const at::ScalarType dtype = parse_dtype(type, "--dtype");
  const auto tokenizer = tokenizer::open_tokenizer(model.directory);
  std::vector<Token> tokens;
  if (tokenizer->document_start()) tokens.push_back(*tokenizer->document_start());
  for (const Token token : tokenizer->encode(prompt)) tokens.push_back(token);
  validate_prompt(directory.config, tokens);

  const Decoder decoder(directory.config, load_weights(directory, dtype, device));
  emit(prompt);
  TextStream text(*tokenizer, tokens);
  generate(decoder, tokens, tokenizer->end_of_sequence(), options,
           [&](Token token) { text.add(token, emit); });
  text.finish(emit);
}

}  // namespace regroup::model
