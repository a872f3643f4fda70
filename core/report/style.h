// The style sheet of HTML reports: one voice of type, one accent, colours for light and dark.
#pragma once

#include <string_view>

namespace regroup::report {

inline constexpr std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --ink: #22211e; --soft: #6b6860; --line: #e2ded4; --accent: #2c5f8f;
  --good: #2f7d5b; --bad: #b2452f; --unsure: #8f6a14; --tint: #f1eee6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #191a1c; --ink: #e6e3dc; --soft: #9d998f; --line: #34353a; --accent: #82b4e0;
    --good: #74c69d; --bad: #e58b74; --unsure: #d9b45b; --tint: #222427;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums lining-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 64rem; margin: 0 auto; padding: 3.5rem 1.5rem 4rem; }
p, ul { margin: 0 0 .8rem; max-width: 42rem; }
h1, h2 { font-family: Charter, "Bitstream Charter", "Iowan Old Style", Cambria, Georgia, serif; font-weight: 600;
  line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.35rem, 1.1rem + 1.5vw, 1.95rem); margin: .3rem 0 1rem; max-width: 48rem; }
h2 { font-size: 1.2rem; margin: 0 0 .7rem; }
section { margin-top: 2.8rem; padding-top: 1.4rem; border-top: 1px solid var(--line); }
.kicker { color: var(--soft); font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; margin: 0; }
.kicker b { font-weight: 600; }
.pass { color: var(--good); } .fail { color: var(--bad); } .cannot-tell { color: var(--unsure); }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
ul { padding-left: 1.1rem; } li { margin-bottom: .3rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .5rem .6rem; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th { color: var(--soft); font-weight: 500; font-size: .8rem; }
td:first-child { font-weight: 600; min-width: 8.5rem; overflow-wrap: anywhere; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
.wide { overflow-x: auto; }
@media (min-width: 961px) { .wide th + th, .wide td + td { padding-left: .35rem; } }
.below { margin-top: .8rem; }
.num { text-align: right; }
.chart { margin: 1rem 0 .4rem; }
.lane { margin-bottom: .5rem; break-inside: avoid; }
.lane-text { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; font-size: .9rem; }
.lane-text span { overflow-wrap: anywhere; } .figure { color: var(--soft); }
svg { display: block; width: 100%; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); }
.grid { stroke: var(--line); } .reference { stroke: var(--soft); }
.budget { stroke: var(--bad); stroke-dasharray: 3 3; } svg .budget-label { fill: var(--bad); }
.whisker { stroke: var(--accent); stroke-width: 2; } .dot { fill: var(--accent); }
.bars { display: flex; gap: 6px; margin: .4rem 0 0; } .bars .scale { flex: 0 0 46px; width: 46px; }
.bars svg { flex: 1; min-width: 0; } .bar { fill: var(--accent); } .bar.better { fill: var(--good); }
figure { margin: 0 0 1.6rem; break-inside: avoid; } figure h3 { font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
.ends { display: flex; justify-content: space-between; padding-left: 52px; color: var(--soft); font-size: .78rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.4rem; margin: 0; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .85em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
/* Tables as cards, a row each: all of them on a phone, the wide ones on a tablet and on paper too. */
@media print, (max-width: 960px) {
  .wide thead { display: none; }
  .wide tr { display: block; padding: .7rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
  .wide td, .wide td:first-child { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    padding: .12rem 0; min-width: 0; }
  .wide td::before { content: attr(data-label); color: var(--soft); font-weight: 400; flex: none; }
  .wide td:first-child::before { content: none; } .wide td:empty { display: none; }
}
@media (max-width: 720px) {
  main { padding: 1.8rem 1.1rem 3rem; }
  thead { display: none; }
  tr { display: block; padding: .7rem 0; border-bottom: 1px solid var(--line); }
  td, td:first-child { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .12rem 0; }
  td::before { content: attr(data-label); color: var(--soft); font-weight: 400; flex: none; }
  td:first-child { min-width: 0; } td:first-child::before { content: none; } td:empty { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: .6rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #555; --line: #ccc; --accent: #2c5f8f; --good: #2f7d5b; --bad: #b2452f;
    --unsure: #8f6a14; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; } section { break-inside: avoid-page; margin-top: 1.6rem; }
}
)css";

}  // namespace regroup::report
