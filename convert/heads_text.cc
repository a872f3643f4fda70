// An inspection of heads for a terminal.
#include <fmt/format.h>

#include "convert/inspect_heads.h"

namespace regroup::convert {
namespace {

std::string similarity(const Json& similarity) {
  return fmt::format("{:.2f} -> {:.2f}", similarity["before"].get<double>(),
                     similarity["after"].get<double>());
}

std::string costs(const Json& merges, bool contiguous) {
  std::string text;
  for (const Json& merge : merges)
    text += fmt::format("  {:>6.3f}", (contiguous ? merge["contiguous"] : merge)["cost"].get<double>());
  return text;
}

std::string row(const std::string& title, const Json& layer) {
  return fmt::format("{:<10}  {}   {}  {}\n", title, similarity(layer["keys"]), similarity(layer["values"]),
                     costs(layer["merges"], false));
}

std::string groups_table(const Json& heads, std::int64_t count) {
  std::string text = fmt::format("\ngroups at {} key/value heads\n", count);
  for (const Json& layer : heads["layers"])
    for (const Json& merge : layer["merges"])
      if (merge["kv_heads"] == count)
        text += fmt::format("{:<10}  {}\n", layer["layer"].dump(), groups_text(merge["groups"]));
  return text;
}

std::string notes(const Json& heads) {
  return fmt::format(
      "\nsimilarity  of two heads: 1 where one can stand in for the other; unrelated ones have about {:.2f}\n"
      "            (keys) and {:.2f} (values) once aligned\n"
      "cost        share of the keys' energy plus share of the values' that the merge loses, 0 if nothing\n",
      heads["unrelated"]["keys"].get<double>(), heads["unrelated"]["values"].get<double>());
}

}  // namespace

std::string groups_text(const Json& groups) {
  std::string text;
  for (const Json& members : groups) {
    if (!text.empty()) text += " | ";
    for (std::size_t i = 0; i < members.size(); ++i)
      text += fmt::format("{}{}", i == 0 ? "" : " ", members[i].dump());
  }
  return text;
}

std::string heads_text(const Json& heads) {
  std::string text =
      fmt::format("{}\n\n{} layers of {} key/value heads of {}; method {}, groups by {}, from {}\n\n",
                  heads["path"].get<std::string>(), heads["layers"].size(), heads["kv_heads"].dump(),
                  heads["head_dim"].dump(), heads["method"].get<std::string>(),
                  heads["grouping"].get<std::string>(), heads["evidence"].get<std::string>());
  text +=
      fmt::format("{:<10}  {:<27}    {}\n", "", "similarity, as is -> aligned", "cost at key/value heads");
  text += fmt::format("{:<10}  {:<12}   {:<12}  ", "layer", "keys", "values");
  for (const Json& merge : heads["mean"]["merges"]) text += fmt::format("  {:>6}", merge["kv_heads"].dump());
  text += "\n";
  for (const Json& layer : heads["layers"]) text += row(layer["layer"].dump(), layer);
  text += row("mean", heads["mean"]);
  if (heads["grouping"] != "contiguous")
    text += fmt::format("{:<10}  {:<27}  {}\n", "", "mean, if neighbours share one",
                        costs(heads["mean"]["merges"], true));
  text += notes(heads);
  for (const Json& count : heads["shown"]) text += groups_table(heads, count.get<std::int64_t>());
  return text;
}

}  // namespace regroup::convert
