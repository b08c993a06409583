// What a report's page looks like, and the few lines of script that tell values under the pointer. The page reads
// without them, and neither fetches anything.
#pragma once

namespace apps {

/// Colours are those of chart.h (Okabe and Ito, 2008); on a dark page the first and the last are lighter.
inline constexpr const char* report_style = R"css(
:root { color-scheme: light dark; --paper: #fff; --ink: #222; --soft: #5c6166; --rule: #e2e4e7; --card: #f7f8f9;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9; --c6: #000; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181b; --ink: #e8eaec; --soft: #a3a9af; --rule: #33383d; --card: #1d2125;
    --c0: #3a97d8; --c6: #fff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 20px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 8px 0; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 12px; }
p { margin: 8px 0; overflow-wrap: anywhere; }
.lead { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }
.tiles div { flex: 1 1 150px; background: var(--card); border-radius: 8px; padding: 12px 16px; }
.tiles b { display: block; font-size: 24px; line-height: 1.3; white-space: nowrap; }
.tiles span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 370px), 1fr)); gap: 24px; }
figure { margin: 0; min-width: 0; max-width: 620px; }
figcaption, .legend { display: flex; flex-wrap: wrap; gap: 0 16px; align-items: baseline; }
figcaption { margin-bottom: 4px; }
.legend { list-style: none; margin: 0; padding: 0; font-size: 13px; }
.legend li { overflow-wrap: anywhere; }
.legend li::before { content: ""; display: inline-block; width: 18px; border-top: 3px solid var(--c); margin-right: 6px;
  vertical-align: middle; }
.legend li.d1::before { border-top-style: dashed; } .legend li.d2::before { border-top-style: dotted; }
svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); }
.cursor { stroke: var(--soft); stroke-dasharray: 3 3; visibility: hidden; }
.series polyline { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; }
.series circle { fill: var(--c); }
.series.d1 polyline { stroke-dasharray: 6 3; } .series.d2 polyline { stroke-dasharray: 2 3; }
.faint { opacity: .3; } .faint polyline { stroke-width: 1; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); } .s4 { --c: var(--c4); }
.s5 { --c: var(--c5); } .s6 { --c: var(--c6); }
.read { color: var(--soft); font-size: 13px; min-height: 20px; margin: 2px 0 0; }
.scroll { overflow-x: auto; }
.scroll img { display: block; width: 100%; max-width: 930px; min-width: 540px; }
table { border-collapse: collapse; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--rule);
  max-width: 640px; overflow-wrap: anywhere; }
td, th { min-width: 90px; }
th[scope=row] { font-weight: 400; color: var(--soft); }
pre { background: var(--card); border-radius: 8px; padding: 12px 16px; font-size: 13px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
)css";

inline constexpr const char* report_script = R"js(
for (const svg of document.querySelectorAll("svg[data-left]")) {
  const d = svg.dataset, read = svg.parentNode.querySelector(".read"), cursor = svg.querySelector(".cursor");
  const numbers = text => text.split(" ").map(s => s === "-" ? NaN : +s);
  const series = [...svg.querySelectorAll(".series:not(.faint)")].map(
    g => ({ name: g.dataset.name, x: numbers(g.dataset.x), y: numbers(g.dataset.y) }));
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const px = (event.clientX - box.left) * scale, x = +d.low + (px - d.left) / (d.right - d.left) * (d.high - d.low);
    let near = null;
    const nearest = s => s.x.reduce((best, v, i) => Math.abs(v - x) < Math.abs(s.x[best] - x) ? i : best, 0);
    const found = series.filter(s => s.x.length).map(s => ({ s, i: nearest(s) }));
    for (const f of found) if (near === null || Math.abs(f.s.x[f.i] - x) < Math.abs(near - x)) near = f.s.x[f.i];
    if (near === null) return;
    const at = +d.left + (near - d.low) / (d.high - d.low) * (d.right - d.left);
    cursor.setAttribute("x1", at); cursor.setAttribute("x2", at); cursor.style.visibility = "visible";
    read.textContent = d.unit + " " + near.toPrecision(4) + ": " +
      found.map(f => (f.s.name ? f.s.name + " " : "") + f.s.y[f.i].toPrecision(4)).join(", ");
  });
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = "hidden"; read.textContent = ""; });
}
)js";

}  // namespace apps
