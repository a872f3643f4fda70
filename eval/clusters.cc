#include "eval/clusters.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/statistics.h"
#include "eval/text.h"

namespace regroup::eval {
namespace {

std::int64_t largest_cluster(std::span<const std::int64_t> ends) {
  std::int64_t largest = 0, begin = 0;
  for (const std::int64_t end : ends) {
    largest = std::max(largest, end - begin);
    begin = end;
  }
  return largest;
}

// A target belongs to the document it lies in, its document's first token included.
std::vector<std::int64_t> document_ends(std::span<const data::Window> windows,
                                        std::span<const std::int64_t> starts) {
  std::vector<std::int64_t> ends;
  std::int64_t scored = 0, current = -1;
  for (const data::Window& window : windows) {
    const std::int64_t last = window.begin + window.length;
    for (std::int64_t target = window.begin + window.skip + 1; target <= last;) {
      const auto next = std::ranges::upper_bound(starts, target);
      const std::int64_t document = next - starts.begin();
      const std::int64_t until = next == starts.end() ? last + 1 : std::min(*next, last + 1);
      if (document != current && scored > 0) ends.push_back(scored);
      current = document;
      scored += until - target;
      target = until;
    }
  }
  ends.push_back(scored);
  return ends;
}

std::vector<std::int64_t> block_ends(std::span<const data::Window> windows) {
  const std::int64_t count = std::ssize(windows), blocks = std::min(count, kBlocks);
  std::vector<std::int64_t> ends;
  std::int64_t scored = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    scored += windows[static_cast<std::size_t>(i)].scored();
    if ((i + 1) * blocks / count > i * blocks / count) ends.push_back(scored);
  }
  return ends;
}

std::string tail(std::span<const std::int64_t> ends) {
  if (ends.size() < 2) return "too little text to claim an error.";
  const std::string degrees = fmt::format("{:.0f}", std::max(1., effective_clusters(ends) - 1));
  return fmt::format("Student's t with {} degree{} of freedom.", degrees, degrees == "1" ? "" : "s");
}

}  // namespace

Clusters choose_clusters(std::span<const data::Window> windows,
                         std::span<const std::int64_t> document_starts) {
  check(!windows.empty() && !document_starts.empty(), "nothing is scored");
  std::vector<std::int64_t> documents = document_ends(windows, document_starts);
  const std::int64_t count = std::ssize(documents), scored = documents.back();
  const auto largest = static_cast<double>(largest_cluster(documents)) / static_cast<double>(scored);
  if (largest <= kLargestShare) {
    const std::string summary = fmt::format(
        "Errors cluster by document ({}); {}{}", grouped(count), tail(documents),
        count < kEnoughDocuments ? " They are few: more documents would make intervals narrower." : "");
    return {.ends = std::move(documents), .unit = "document", .summary = summary};
  }
  const std::string why = count == 1 ? "the text is one document"
                                     : fmt::format("one document holds {:.0f}% of the tokens", 100 * largest);
  std::vector<std::int64_t> blocks = block_ends(windows);
  const std::int64_t number = std::ssize(blocks);
  const std::string summary = fmt::format(
      "Errors cluster by block, because {}: {} run{} of whole windows, about {} tokens each; {} How other "
      "documents differ is not in them.",
      why, number, number == 1 ? "" : "s", grouped(scored / number), tail(blocks));
  return {.ends = std::move(blocks), .unit = "block", .summary = summary};
}

}  // namespace regroup::eval
