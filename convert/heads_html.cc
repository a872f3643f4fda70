// An inspection of heads as one self-contained page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include "convert/inspect_heads.h"
#include "core/base/version.h"
#include "core/report/html.h"

namespace regroup::convert {

using report::html_entry;
using report::html_escape;

namespace {

constexpr std::string_view kStyle = R"css(
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .4rem 1.4rem; }
.maps figure { margin: 0 0 .8rem; } .layer { break-inside: avoid; margin-bottom: 1rem; }
.layer h3 { font-size: .95rem; margin: 0 0 .4rem; } .layer h3 .soft { font-weight: 400; margin-left: .6rem; }
.heat { background: var(--tint); } .heat path { fill: var(--accent); } .heat .own { fill: var(--line); }
.heat .together { fill: none; stroke: var(--ink); stroke-width: 1.2px; vector-effect: non-scaling-stroke; }
.key { display: flex; gap: .6rem; margin-bottom: 1rem; align-items: center; max-width: 18rem; } .key svg { flex: 1; }
.by-layer { stroke: var(--accent); stroke-width: 1.5; } .by-mean { stroke: var(--ink); stroke-width: 2.5; }
.by-neighbours { stroke: var(--bad); stroke-width: 2.5; stroke-dasharray: 5 4; }
)css";

double number(const Json& value) {
  return value.get<double>();
}

std::string model_name(const Json& heads) {
  std::filesystem::path path = heads["path"].get<std::string>();
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

std::string shares(const Json& merge) {
  return fmt::format("{:.1f}% of the keys' energy and {:.1f}% of the values'", 100 * number(merge["keys"]),
                     100 * number(merge["values"]));
}

const Json& merge_to(const Json& merges, const Json& kv_heads) {
  return *std::ranges::find_if(merges, [&](const Json& merge) { return merge["kv_heads"] == kv_heads; });
}

std::string headline(const Json& heads) {
  const Json& count = heads["shown"][0];
  return fmt::format("{}: merging {} key/value heads into {} loses {}", model_name(heads),
                     heads["kv_heads"].dump(), count.dump(),
                     shares(merge_to(heads["mean"]["merges"], count)));
}

std::string header(const Json& heads) {
  std::string html = "<header>\n<p class=\"kicker\">regroup heads</p>\n<h1>" + html_escape(headline(heads));
  html += fmt::format(
      "</h1>\n<p class=\"soft\">Mean over {} layers, by the method {} with groups by {}, from {}: what text "
      "the "
      "model will read is not known here, and what uptraining wins back is not counted.</p>\n",
      heads["layers"].size(), html_escape(heads["method"].get<std::string>()),
      html_escape(heads["grouping"].get<std::string>()), html_escape(heads["evidence"].get<std::string>()));
  return html + "</header>\n";
}

// Costs of a line of the chart, by number of heads, from nothing merged on.
struct Line {
  std::string title, style;
  double strength = 1;
  std::vector<double> costs;
};

std::vector<Line> cost_lines(const Json& heads) {
  const auto costs = [](const Json& merges, bool contiguous) {
    std::vector<double> all = {0};
    for (const Json& merge : merges)
      all.push_back(number((contiguous ? merge["contiguous"] : merge)["cost"]));
    return all;
  };
  std::vector<Line> lines;
  const auto layers = static_cast<double>(heads["layers"].size());
  for (const Json& layer : heads["layers"])
    lines.push_back({"layer " + layer["layer"].dump(), "by-layer",
                     0.25 + 0.75 * (number(layer["layer"]) + 1) / layers, costs(layer["merges"], false)});
  if (heads["grouping"] != "contiguous")
    lines.push_back({"mean, neighbours share", "by-neighbours", 1, costs(heads["mean"]["merges"], true)});
  lines.push_back({"mean", "by-mean", 1, costs(heads["mean"]["merges"], false)});
  return lines;
}

std::string cost_section(const Json& heads) {
  constexpr double kTop = 8, kHeight = 210;
  const std::vector<Line> lines = cost_lines(heads);
  double most = 1e-9;
  for (const Line& line : lines) most = std::max(most, std::ranges::max(line.costs));
  std::vector<std::string> counts = {heads["kv_heads"].dump()};
  for (const Json& merge : heads["mean"]["merges"]) counts.push_back(merge["kv_heads"].dump());
  const auto x = [&](std::size_t i) {
    return 3 + 94. * static_cast<double>(i) / static_cast<double>(counts.size() - 1);
  };
  const auto y = [&](double cost) { return kTop + kHeight * (1 - cost / most); };
  std::string svg, scale;
  for (const double tick : report::round_ticks(0, most)) {
    svg += fmt::format(R"(<line class="grid" x1="0" x2="100%" y1="{0:.1f}" y2="{0:.1f}"/>)", y(tick));
    scale += fmt::format(R"(<text class="tick" x="44" y="{:.1f}" text-anchor="end">{:.3g}</text>)",
                         y(tick) + 4, tick);
  }
  for (const Line& line : lines) {
    svg += fmt::format(R"(<g class="{}" opacity="{:.2f}"><title>{}</title>)", line.style, line.strength,
                       line.title);
    for (std::size_t i = 0; i + 1 < line.costs.size(); ++i)
      svg += fmt::format(R"(<line x1="{:.2f}%" y1="{:.1f}" x2="{:.2f}%" y2="{:.1f}"/>)", x(i),
                         y(line.costs[i]), x(i + 1), y(line.costs[i + 1]));
    svg += "</g>";
  }
  for (std::size_t i = 0; i < counts.size(); ++i)
    svg += fmt::format(R"(<text class="tick" x="{:.2f}%" y="{:.0f}" text-anchor="middle">{}</text>)", x(i),
                       kTop + kHeight + 20, counts[i]);
  return fmt::format(
      "<p class=\"soft\">The share of the keys' energy plus the share of the values' that a merge loses, by "
      "the number of key/value heads that are left. A line for each layer, fainter the nearer to the input; "
      "the mean is boldest{}.</p>\n<div class=\"bars\"><svg class=\"scale\" height=\"236\" "
      "aria-hidden=\"true\">{}"
      "</svg><svg height=\"236\" role=\"img\" aria-label=\"merge cost by number of key/value heads\">{}</svg>"
      "</div>\n<p class=\"soft below\">Key/value heads left</p>\n",
      heads["grouping"] == "contiguous" ? "" : "; broken, the mean if neighbours share a head instead", scale,
      svg);
}

struct Column {
  std::string title, cell;
};

std::vector<Column> columns(const std::string& title, const Json& layer) {
  std::vector<Column> row = {{"Layer", title}};
  for (const char* part : {"keys", "values"})
    row.push_back(
        {fmt::format("Similarity of {}", part),
         fmt::format("{:.2f} → {:.2f}", number(layer[part]["before"]), number(layer[part]["after"]))});
  for (const Json& merge : layer["merges"])
    row.push_back(
        {fmt::format("Cost at {}", merge["kv_heads"].dump()), fmt::format("{:.3f}", number(merge["cost"]))});
  return row;
}

std::string layers_section(const Json& heads) {
  std::string html = "<table>\n<thead><tr>";
  const char* kinds[] = {"", " class=\"num\""};
  for (const Column& column : columns("", heads["mean"]))
    html += fmt::format("<th{}>{}</th>", kinds[column.title != "Layer"], column.title);
  html += "</tr></thead>\n<tbody>\n";
  const auto add = [&](const std::string& title, const Json& layer) {
    html += "<tr>";
    for (const Column& column : columns(title, layer))
      html += fmt::format("<td{} data-label=\"{}\">{}</td>", kinds[column.title != "Layer"], column.title,
                          column.cell);
    html += "</tr>\n";
  };
  for (const Json& layer : heads["layers"]) add(layer["layer"].dump(), layer);
  add("mean", heads["mean"]);
  return html + "</tbody>\n</table>\n" +
         fmt::format(
             "<p class=\"soft below\">Similarity: the mean over pairs of heads, as they stand → aligned. "
             "Unrelated heads of this size have about {:.2f} (keys) and {:.2f} (values) once "
             "aligned.</p>\n",
             number(heads["unrelated"]["keys"]), number(heads["unrelated"]["values"]));
}

constexpr int kShades = 20;

// A path of the cells that `holds`, in units of a cell: one element however many cells.
template <typename Holds>
std::string cells(std::size_t heads, Holds holds) {
  std::string path;
  for (std::size_t i = 0; i < heads; ++i)
    for (std::size_t j = 0; j < heads; ++j)
      if (holds(i, j)) path += fmt::format("M{} {}h1v1h-1z", j, i);
  return path;
}

// Heads in the order of their groups, which then are squares on the diagonal.
std::string heat_map(const std::string& name, const Json& matrix, double mean, const Json& groups) {
  std::vector<std::size_t> order;
  std::string outlines;
  for (const Json& members : groups) {
    outlines += fmt::format("M{0} {0}h{1}v{1}h-{1}z", order.size(), members.size());
    for (const Json& head : members) order.push_back(head.get<std::size_t>());
  }
  const auto shade = [&](std::size_t i, std::size_t j) {
    return static_cast<int>(std::lround(kShades * std::clamp(number(matrix[order[i]][order[j]]), 0., 1.)));
  };
  std::string svg = fmt::format(R"(<path class="own" d="{}"/>)", cells(order.size(), std::equal_to<>()));
  for (int level = 1; level <= kShades; ++level) {
    const std::string path =
        cells(order.size(), [&](std::size_t i, std::size_t j) { return i != j && shade(i, j) == level; });
    if (!path.empty())
      svg +=
          fmt::format(R"(<path fill-opacity="{:.2f}" d="{}"/>)", static_cast<double>(level) / kShades, path);
  }
  return fmt::format(
      "<figure><svg class=\"heat\" viewBox=\"0 0 {0} {0}\" role=\"img\" aria-label=\"{1}: mean {2:.2f}\">{3}"
      "<path class=\"together\" d=\"{4}\"/></svg><figcaption>{1} · {2:.2f}</figcaption></figure>\n",
      order.size(), name, mean, svg, outlines);
}

std::string similarity_section(const Json& heads) {
  std::string key;
  for (int level = 0; level <= kShades; ++level)
    key += fmt::format(R"(<path fill-opacity="{:.2f}" d="M{} 0h1v1h-1z"/>)",
                       static_cast<double>(level) / kShades, level);
  std::string html = fmt::format(
      "<p class=\"soft\">Row: a head; column: the head that would stand in for it, as they stand, and "
      "aligned: "
      "through the best of the maps that the model's queries and outputs can absorb. Heads are in the order "
      "of "
      "their groups at {} key/value heads, which are outlined.</p>\n<div class=\"key soft\"><span>0</span>"
      "<svg class=\"heat\" height=\"10\" viewBox=\"0 0 {} 1\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\">"
      "{}</svg><span>1</span></div>\n",
      heads["shown"][0].dump(), kShades + 1, key);
  for (const Json& layer : heads["layers"]) {
    const Json& groups = merge_to(layer["merges"], heads["shown"][0])["groups"];
    html += fmt::format(
        "<div class=\"layer\"><h3>Layer {} <span class=\"soft\">{}</span></h3>\n<div class=\"maps\">\n",
        layer["layer"].dump(), groups_text(groups));
    for (const char* part : {"keys", "values"})
      for (const auto& [state, name] : {std::pair("before", "as they stand"), {"after", "aligned"}})
        html += heat_map(fmt::format("{} {}", part, name), layer[part][fmt::format("{}_matrix", state)],
                         number(layer[part][state]), groups);
    html += "</div></div>\n";
  }
  return html;
}

std::string groups_section(const Json& heads) {
  std::string html;
  for (const Json& count : heads["shown"]) {
    html += fmt::format("<div class=\"layer\"><h3>{} key/value heads</h3>\n<dl>\n", count.dump());
    for (const Json& layer : heads["layers"]) {
      const Json& merge = merge_to(layer["merges"], count);
      html += html_entry(
          "layer " + layer["layer"].dump(),
          fmt::format("{}<br><span class=\"soft\">loses {}; neighbours: {:.1f}% and {:.1f}%{}</span>",
                      groups_text(merge["groups"]), shares(merge), 100 * number(merge["contiguous"]["keys"]),
                      100 * number(merge["contiguous"]["values"]),
                      merge["least"].get<bool>() ? "; no groups lose less" : ""));
    }
    html += "</dl></div>\n";
  }
  return html;
}

std::string provenance_section(const Json& heads) {
  return "<dl>\n" +
         html_entry("Program",
                    fmt::format("regroup {} (commit {})", html_escape(version()), html_escape(commit()))) +
         html_entry("Model", html_escape(heads["path"].get<std::string>())) + "</dl>\n";
}

}  // namespace

std::string heads_html(const Json& heads) {
  const std::string body = header(heads) + report::html_section("Merge cost", cost_section(heads)) +
                           report::html_section("Layers", layers_section(heads)) +
                           report::html_section("Similarity of heads", similarity_section(heads)) +
                           report::html_section("Groups", groups_section(heads)) +
                           report::html_section("Provenance", provenance_section(heads));
  return report::html_page(headline(heads), kStyle, body);
}

}  // namespace regroup::convert
