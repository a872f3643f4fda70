#include "core/data/encode.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "core/base/progress.h"
#include "core/tokenizer/unicode.h"

namespace regroup::data {
namespace {

struct Part {
  std::string_view text;
  bool starts_document = false;
  std::vector<Token> tokens;
};

std::vector<Part> parts_of(std::span<const std::string_view> documents,
                           const tokenizer::Tokenizer& tokenizer) {
  std::vector<Part> parts;
  for (const std::string_view document : documents) {
    bool first = true;
    for (const std::string_view text : tokenizer.parts(document)) {
      parts.push_back({.text = text, .starts_document = first, .tokens = {}});
      first = false;
    }
  }
  return parts;
}

// The ids that every document starts with: one or none.
std::vector<Token> start_of(const tokenizer::Tokenizer& tokenizer, const ReadOptions& options) {
  if (!options.document_start) return {};
  const auto start = tokenizer.document_start();
  return start ? std::vector<Token>{*start} : std::vector<Token>{};
}

// Parts between runs of white space, empty ones at the ends included.
std::int64_t count_words(std::string_view text) {
  std::int64_t words = 1;
  bool before = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool space = tokenizer::is_python_space(tokenizer::next_character(text, at));
    words += space && !before;
    before = space;
  }
  return words;
}

// Calls `work` for every index below `count`, from `threads` threads; the first exception is thrown here.
template <typename Work>
void parallel_for(std::size_t count, int threads, Work work) {
  const auto most = static_cast<std::size_t>(
      threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  std::atomic<std::size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto run = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < std::min(most, count); ++i) workers.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void encode_documents(std::span<const std::string_view> documents, const tokenizer::Tokenizer& tokenizer,
                      const ReadOptions& options, TokenStream& stream) {
  std::int64_t bytes = 0;
  for (const std::string_view document : documents) bytes += static_cast<std::int64_t>(document.size());
  std::vector<Part> parts = parts_of(documents, tokenizer);
  {
    Progress progress("tokenizing", static_cast<double>(bytes), "B");
    parallel_for(parts.size(), options.threads, [&](std::size_t i) {
      parts[i].tokens = tokenizer.encode(parts[i].text);
      progress.advance(static_cast<double>(parts[i].text.size()));
    });
  }
  std::size_t total = stream.tokens.size() + documents.size();
  for (const Part& part : parts) total += part.tokens.size();
  stream.tokens.reserve(total);
  const std::vector<Token> start = start_of(tokenizer, options);
  for (Part& part : parts) {
    if (part.starts_document) {
      stream.document_starts.push_back(static_cast<std::int64_t>(stream.tokens.size()));
      stream.tokens.insert(stream.tokens.end(), start.begin(), start.end());
    }
    stream.tokens.insert(stream.tokens.end(), part.tokens.begin(), part.tokens.end());
    part.tokens = {};
  }
  stream.text_bytes += bytes;
  for (const std::string_view document : documents) stream.text_words += count_words(document);
}

std::string convention_of(std::string_view how, const tokenizer::Tokenizer& tokenizer,
                          const ReadOptions& options) {
  const std::vector<Token> start = start_of(tokenizer, options);
  return std::string(how) + ", newlines stripped at both ends, " +
         (start.empty() ? "no BOS" : "BOS (id " + std::to_string(start.front()) + ") before each") +
         ", nothing after it";
}

}  // namespace regroup::data
