#include "core/model/generate.h"

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

// Logits of the token after the last of `tokens_1T`, in fp64 on the CPU, [V].
at::Tensor next_logits(const Decoder& decoder, const at::Tensor& tokens_1T, KvCache* cache) {
  const at::Tensor last_1M = decoder.hidden_states(tokens_1T, cache).select(1, -1);
  const at::Tensor logits_V = decoder.logits(last_1M).squeeze(0).to(at::kCPU, at::kDouble).contiguous();
  if (!at::isfinite(logits_V).all().item<bool>())
    throw UserError({.where = "the model's logits are not finite", .remedy = "Choose a wider --dtype"});
  return logits_V;
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
  const c10::NoGradGuard no_grad;
  const at::TensorOptions weights = decoder.output_projection().options();
  const auto length = static_cast<std::int64_t>(prompt.size());
  const std::int64_t last = std::min(length + options.max_new_tokens, decoder.config().max_positions);
  std::optional<KvCache> cache;
  if (options.use_cache) cache.emplace(decoder.config(), 1, last, weights);

  RandomStream stream(options.seed, "generate");
  std::vector<std::int64_t> text(prompt.begin(), prompt.end());
  std::vector<Token> generated;
  while (static_cast<std::int64_t>(text.size()) < last) {
    const std::size_t seen = cache ? static_cast<std::size_t>(cache->length()) : 0;
    const at::Tensor new_1T =
        at::tensor(at::ArrayRef<std::int64_t>(text).slice(seen), at::kLong).unsqueeze(0).to(weights.device());
    const at::Tensor logits_V = next_logits(decoder, new_1T, cache ? &*cache : nullptr);
    const std::span<const double> logits(logits_V.const_data_ptr<double>(),
                                         static_cast<std::size_t>(logits_V.numel()));
    const Token token = options.temperature == 0
                            ? likeliest_token(logits)
                            : sample_token(logits, options.temperature, options.top_p, stream);
    if (token == end) break;
    text.push_back(token);
    generated.push_back(token);
    if (emit) emit(token);
  }
  return generated;
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
