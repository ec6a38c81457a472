"use strict";
// The page of a data card. Texts of strangers are only ever set as text nodes.
const card = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const number = (v) => (v == null ? "–" : whole.format(v));
const brief = (v) => (Math.abs(v) < 10000 ? whole.format(v) : short.format(v));
const share = (v, of) => (of ? percent(v / of) : "–");
const percent = (v) => (v == null || Number.isNaN(v) ? "–" : v && v < 0.001 ? "<0.1%" : `${(100 * v).toFixed(1)}%`);
const digits = (v, n = 4) => (v == null ? "–" : String(+v.toPrecision(n)));
const words = (name) => name.replaceAll("_", " ");
const heading = (name) => (name.length > 1 ? name[0].toUpperCase() + words(name).slice(1) : name); // t and p stay

// ---- Elements ----
function add(node, children) {
  for (const child of children.flat(3)) {
    if (child != null && child !== false) node.append(child);
  }
  return node;
}
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
    else if (value != null) node.setAttribute(name, value);
  }
  return add(node, children);
}
function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return add(node, children);
}
// What moves, hides or ends text stands as an escape; joiners that words need stay.
const HIDDEN = /([\p{C}\p{Zl}\p{Zp}])/u;
function quoted(text) {
  return text.split(HIDDEN).filter(Boolean).map((part) => {
    if (!HIDDEN.test(part) || part === "\u200c" || part === "\u200d") return part;
    const code = part.codePointAt(0);
    const shown = code < 256 ? `\\x${code.toString(16).padStart(2, "0")}`
      : code < 65536 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
    return el("span", { class: "esc" }, shown);
  });
}
const bdi = (text) => el("bdi", {}, quoted(text));
const fill = (id, ...children) => { $(id).replaceChildren(); add($(id), children); };

// ---- The chosen language ----
const codes = Object.keys(card.languages);
const matched = codes.filter((code) => card.languages[code].t != null)
  .sort((a, b) => card.languages[b].matched - card.languages[a].matched);
const nameOf = (code) => (code ? (card.names[code] || [code])[0] : "no language");
let chosen = "";
const figures = () => (chosen ? card.languages[chosen] : card.total);
const one = () => (chosen ? figures().t : card.t_everywhere);

function renderLead() {
  const f = figures();
  $("scope").textContent = chosen ? `${nameOf(chosen)} (${chosen})` : `${matched.length} ${matched.length === 1 ? "language" : "languages"}`;
  $("headline").textContent = `${number(f.kept)} pairs kept`;
  $("subline").textContent = `of ${number(f.matched)} that match an entry and ${number(f.read)} that were read`
    + (one() == null ? ", with a threshold of its own for every language." : `, with about ${number(one())} pairs per entry.`)
    + (!chosen && card.target ? ` ${card.target}` : "");
  const ratio = f.kept ? (f.slots / f.kept).toFixed(2) : "–";
  const tiles = [
    ["Kept", percent(f.matched ? f.kept / f.matched : null), "of the matched pairs"],
    ["Expected", number(Math.round(f.expected)), "Σ of the probabilities"],
    ["Slots", number(f.slots), `${ratio} per pair: a pair fills one of every entry it matches`],
    ["Entries", number(f.entries_matched), `match, of ${number(f.entries)}`],
    ["In the head", number(f.entries_head), `with ${percent(f.head_share)} of the matches`],
    ["KL to uniform", `${digits(f.kl_before_bits, 3)} → ${digits(f.kl_after_bits, 3)}`, "bits, before and after"],
  ];
  fill("tiles", tiles.map(([term, value, note]) => el("div", {}, el("dt", {}, term), el("dd", {}, value), el("small", {}, note))));
}

// ---- The flow ----
function renderFlow() {
  const f = figures();
  const drops = Object.entries(f.dropped).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const outs = [["not sampled", f.not_sampled]];
  if (!chosen && f.filtered) for (const [name, n] of Object.entries(f.filtered)) outs.push([`filtered: ${words(name)}`, n]);
  else if (f.num_filtered) outs.push(["filtered", f.num_filtered]);
  const dropped = drops.reduce((sum, [, n]) => sum + n, 0);
  $("flow-note").textContent = `read ${number(f.read)} = matched ${number(f.matched)} + dropped ${number(dropped)}; `
    + `matched = kept ${number(f.kept)} + ${outs.map(([name, n]) => `${name} ${number(n)}`).join(" + ")}.`
    + (chosen ? "" : ` ${card.beside}`);
  const box = $("flow-figure");
  const width = Math.max(300, box.clientWidth - (innerWidth > 760 ? 40 : 28));
  const small = width < 560, bar = small ? 9 : 14, pitch = 40, tall = 250;
  const scale = f.read ? tall / f.read : 0, gap = 16;
  const x = small ? [0, width * 0.36, width * 0.62] : [0, width * 0.42, width * 0.76];
  const node = (name, n, column, y, kind) => ({ name, n, x: x[column], y, h: Math.max(n ? 1.5 : 0, n * scale), kind });
  const read = node("read", f.read, 0, 34, "read");
  const middle = node("matched", f.matched, 1, 34, "matched");
  const ends = [node("kept", f.kept, 2, 34, "kept")];
  let y = 34;
  const below = (n) => Math.max(n.h, pitch) + gap;
  for (const [name, n] of outs) { y += below(ends.at(-1)); ends.push(node(name, n, 2, y, "out")); }
  y = Math.max(y + below(ends.at(-1)), middle.y + below(middle));
  const lost = drops.map(([name, n]) => { const d = node(words(name), n, 1, y, "drop"); y += below(d); return d; });
  const link = (from, offset, to) => {
    const h = to.h, x0 = from.x + bar, x1 = to.x, mid = (x0 + x1) / 2, a = from.y + offset, b = to.y;
    return draw("path", { class: `b-${to.kind}`, d: `M${x0} ${a}C${mid} ${a} ${mid} ${b} ${x1} ${b}v${h}C${mid} ${b + h} ${mid} ${a + h} ${x0} ${a + h}z` });
  };
  const links = [];
  let from = 0;
  for (const n of [middle, ...lost]) { if (n.n) links.push(link(read, from, n)); from += n.n * scale; }
  from = 0;
  for (const n of ends) { if (n.n) links.push(link(middle, from, n)); from += n.n * scale; }
  const label = (n, above) => {
    const at = above ? { x: n.x, y: n.y - 20 } : { x: n.x + bar + 8, y: n.y + Math.min(Math.max(n.h / 2 - 8, 6), 60) + 4 };
    return [draw("text", { ...at, class: "strong" }, n.name), draw("text", { x: at.x, y: at.y + 15 }, `${number(n.n)} · ${share(n.n, f.read)}`)];
  };
  const rects = [read, middle, ...lost, ...ends].map((n) => draw("rect", { class: `n-${n.kind}`, x: n.x, y: n.y, width: bar, height: n.h, rx: 2 }));
  const height = Math.max(y - gap, read.y + read.h) + 4;
  const title = `Of ${number(f.read)} records ${number(f.matched)} matched and ${number(f.kept)} were kept`;
  fill("flow-figure", draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    links, rects, label(read, true), label(middle, true), lost.map((n) => label(n)), ends.map((n) => label(n))));
}

// ---- The curve ----
const SERIES = [["matches", "before", "Before"], ["slots", "slots", "Slots"], ["kept", "kept", "After"]];
const niceStep = (span, num) => {
  const raw = span / num, power = 10 ** Math.floor(Math.log10(raw || 1));
  return Math.max(1e-9, power * [1, 2, 2.5, 5, 10].find((m) => m * power >= raw));
};
let plot = null;
function renderCurve() {
  const f = figures(), curve = f.curve, box = $("curve-plot");
  if (!curve) return;
  const width = Math.max(280, box.clientWidth || 900), height = width < 560 ? 270 : 380;
  const by = document.querySelector("input[name=height]:checked").value;
  const edge = { left: width < 560 ? 44 : 58, right: 14, top: 22, bottom: 46 };
  const last = (name) => curve[name].at(-1) || 1;
  const top = by === "share" ? 1 : Math.max(...SERIES.map(([name]) => last(name)));
  const right = last("entries");
  const log = document.querySelector("input[name=axis]:checked").value === "log";
  // The logarithm is that of how many entries are more frequent, plus one.
  const along = (v) => (log ? 1 - Math.log1p(right - v) / Math.log1p(right) : v / right);
  const px = (v) => edge.left + (width - edge.left - edge.right) * along(v);
  const py = (v) => height - edge.bottom - ((height - edge.top - edge.bottom) * v) / top;
  const value = (name, i) => curve[name][i] / (by === "share" ? last(name) : 1);
  const parts = [];
  const rise = by === "share" ? 0.25 : niceStep(top, 5);
  for (let v = 0; v <= top * 1.0001; v += rise) {
    parts.push(draw("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: py(v), y2: py(v) }),
      draw("text", { x: edge.left - 8, y: py(v) + 4, "text-anchor": "end" }, by === "share" ? `${100 * v}%` : brief(v)));
  }
  const ticks = [];
  if (log) for (let v = 1; v <= right; v *= width < 560 ? 100 : 10) ticks.push([right - v, brief(v)]);
  else for (let step = niceStep(right, width < 560 ? 3 : 6), v = 0; v <= right; v += step) ticks.push([v, brief(v)]);
  for (const [v, label] of ticks) {
    parts.push(draw("line", { class: "axis", x1: px(v), x2: px(v), y1: py(0), y2: py(0) + 5 }),
      draw("text", { x: px(v), y: py(0) + 19, "text-anchor": px(v) > width - 34 ? "end" : "middle" }, label));
  }
  const axis = log ? "number of more frequent entries" : width < 560 ? "entries, the rarest first" : "entries, from those without a match to the most frequent";
  parts.push(draw("text", { x: edge.left, y: height - 6 }, axis));
  if (one() != null && f.entries_head) {
    const at = px(f.entries - f.entries_head);
    parts.push(draw("line", { class: "mark", x1: at, x2: at, y1: edge.top - 4, y2: py(0) }),
      draw("text", { x: at < width / 2 ? at + 7 : at - 7, y: edge.top + 6, "text-anchor": at < width / 2 ? "start" : "end" }, at < width / 2 ? `count ≥ ${brief(one())} · head` : `tail · count < ${brief(one())}`));
  }
  const points = (name) => curve.entries.map((v, i) => `${+px(v).toFixed(2)} ${+py(value(name, i)).toFixed(2)}`);
  parts.push(draw("path", { class: "area", d: `M${points("kept").join("L")}L${px(right)} ${py(0)}z` }));
  for (const [name, kind] of SERIES) parts.push(draw("path", { class: `line ${kind}`, id: `line-${kind}`, d: `M${points(name).join("L")}` }));
  const cursor = draw("g", {});
  const figure = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Cumulative counts over ${number(right)} entries: ${SERIES.map(([name, , label]) => `${label} ${number(last(name))}`).join(", ")}` }, parts, cursor);
  Object.assign(figure.dataset, { axis: log ? "log" : "linear", left: px(0), right: px(right), bottom: py(0), top: py(top), entries: right, height: top });
  figure.addEventListener("pointermove", (event) => {
    const at = event.clientX - figure.getBoundingClientRect().left;
    let best = 0;
    curve.entries.forEach((v, i) => { if (Math.abs(px(v) - at) < Math.abs(px(curve.entries[best]) - at)) best = i; });
    $("curve-cursor").value = best;
    moveCursor();
  });
  fill("curve-plot", figure);
  fill("curve-legend", SERIES.map(([name, kind, label]) => el("li", { class: kind }, `${label} ${number(last(name) === 1 && !curve[name].at(-1) ? 0 : last(name))}`)));
  plot = { curve, px, py, value, cursor, edge, last };
  const range = $("curve-cursor");
  range.max = curve.entries.length - 1;
  if (range.dataset.scope !== chosen) { range.value = Math.round(range.max * 0.6); range.dataset.scope = chosen; }
  moveCursor();
}
function moveCursor() {
  const { curve, px, py, value, cursor, edge, last } = plot, i = +$("curve-cursor").value, x = px(curve.entries[i]);
  cursor.replaceChildren(draw("line", { class: "cursor", x1: x, x2: x, y1: edge.top, y2: py(0) }),
    ...SERIES.map(([name, kind]) => draw("circle", { class: `dot ${kind}`, cx: x, cy: py(value(name, i)), r: 4 })));
  const rest = curve.entries.at(-1) - curve.entries[i];
  const said = SERIES.map(([name, , label]) => [`${label.toLowerCase()} `, el("b", {}, number(curve[name][i])), ` (${share(curve[name][i], last(name))})`, name === "kept" ? "." : ", "]);
  fill("curve-readout", "The ", el("b", {}, number(curve.entries[i])), " rarest entries: ", said, rest ? ` ${number(rest)} entries are more frequent.` : "");
  $("curve-cursor").setAttribute("aria-valuetext", $("curve-readout").textContent);
}

// ---- Entries ----
const row = (tag, cells) => el("tr", {}, cells.map((cell, i) => el(i || tag === "th" ? tag : "th", i ? (tag === "th" ? { scope: "col" } : {}) : { scope: tag === "th" ? "col" : "row", class: "text" }, cell)));
const table = (id, head, rows) => fill(id, el("thead", {}, row("th", head)), el("tbody", {}, rows.map((cells) => row("td", cells))));
const entryCell = ([entry, , , , lang]) => [bdi(entry), lang ? el("span", { class: "lang" }, lang) : null];
function renderEntries() {
  const f = figures();
  const nothing = f.entries - f.entries_matched;
  $("entries-note").textContent = `An entry is in the head if it matches at least t pairs${one() == null ? "" : ` (here ${number(one())})`}, else in the tail. `
    + `${number(f.certain)} of ${number(f.matched)} matched pairs have probability 1, as every pair with an entry of the tail does; the others are sampled. `
    + "Slots are what the entries could keep by themselves; kept pairs are those of the balanced set that match the entry.";
  table("parts", ["", "Entries", "Matches", "Share", "Slots", "Kept matches", "Share"], [
    ...["head", "tail"].map((name) => [`${name[0].toUpperCase()}${name.slice(1)}`, number(f[name].entries), number(f[name].matches), share(f[name].matches, f.matches),
      number(f[name].slots), number(f[name].kept), share(f[name].kept, f.matches_kept)]),
    ["Without a match", number(nothing), "0", "–", "0", "0", "–"],
  ]);
  const list = (rows) => rows.map((entry) => [entryCell(entry), ...entry.slice(1, 4).map(number)]);
  const head = ["Entry", "Count", "Slots", "Kept pairs"];
  const some = (id, rows) => (rows && rows.length ? table(id, head, list(rows)) : fill(id, el("caption", { class: "note" }, "None.")));
  some("head", (f.top_entries || []).filter((entry) => entry[1] > entry[2] || one() == null || entry[1] >= one()));
  some("tail", f.tail_entries);
  const before = f.top_entries || [], after = f.top_entries_after || [];
  const most = Math.max(before.length && before[0][1] / f.matches, after.length && after[0][3] / f.matches_kept, 1e-9);
  const ranks = (rows, at, of) => rows.map((entry, i) => el("li", {}, el("span", { class: "place" }, String(i + 1)),
    el("span", { class: "name" }, entryCell(entry)), el("span", { class: "muted" }, `${number(entry[at])} · ${percent(entry[at] / of)}`),
    draw("svg", { width: "100%", height: 5, "aria-hidden": "true" }, draw("rect", { class: "rail", width: "100%", height: 5, rx: 2.5 }),
      draw("rect", { width: `${(100 * entry[at]) / of / most}%`, height: 5, rx: 2.5 }))));
  fill("before", ranks(before, 1, f.matches));
  fill("after", ranks(after, 3, f.matches_kept));
}

// ---- Languages ----
const COLUMNS = [["t", (v) => number(v)], ["p", (v) => digits(v, 3)], ["read", number], ["matched", number], ["kept", number], ["expected", (v) => number(Math.round(v))],
  ["kept_share", percent], ["slots", number], ["entries", number], ["entries_matched", number], ["entries_head", number], ["head_share", percent], ["kl_before_bits", (v) => digits(v, 3)], ["kl_after_bits", (v) => digits(v, 3)]];
const TITLES = { kept_share: "kept of matched", entries_matched: "with matches", entries_head: "in the head", head_share: "matches in the head", kl_before_bits: "KL before, bits", kl_after_bits: "KL after, bits" };
let order = { key: "matched", up: false };
const valueOf = (code, key) => (key === "language" ? nameOf(code) : key === "kept_share" ? card.languages[code].kept / (card.languages[code].matched || NaN) : card.languages[code][key]);
function sorted(list, of, up) {
  const missing = (v) => v == null || Number.isNaN(v);
  return list.map((item) => [of(item), item]).sort(([a], [b]) => (missing(a) || missing(b) ? missing(a) - missing(b)
    : (typeof a === "string" ? a.localeCompare(b) : a - b) * (up ? 1 : -1))).map(([, item]) => item);
}
function sortHead(key, label, state, change, attributes) {
  return el("th", { scope: "col", "aria-sort": state.key === key ? (state.up ? "ascending" : "descending") : "none", ...attributes },
    el("button", { type: "button", "data-key": key, on: { click: () => change({ key, up: state.key === key ? !state.up : key === "language" || key === "class" }) } }, label));
}
function keepFocus(id, render) {
  const key = $(id).contains(document.activeElement) ? document.activeElement.dataset.key : null;
  render();
  if (key) $(id).querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
function renderLanguages() {
  const wanted = $("find-language").value.trim().toLowerCase();
  const shown = sorted(codes.filter((code) => !wanted || code.includes(wanted) || (card.names[code] || []).some((name) => name.toLowerCase().includes(wanted))),
    (code) => valueOf(code, order.key), order.up);
  $("num-languages").textContent = `${number(shown.length)} of ${number(codes.length)}`;
  const change = (next) => { order = next; keepFocus("language-table", renderLanguages); };
  const own = (code) => { const [name, other] = card.names[code] || []; return other && other !== name ? el("small", {}, el("bdi", {}, other)) : null; };
  fill("language-table",
    el("thead", {}, el("tr", {}, sortHead("language", "Language", order, change), COLUMNS.map(([key]) => sortHead(key, heading(TITLES[key] || key), order, change)))),
    el("tbody", {}, shown.map((code) => el("tr", code && code === chosen ? { class: "chosen" } : {},
      el("th", { scope: "row" }, card.languages[code].t == null ? nameOf(code)
        : el("button", { type: "button", "data-key": `lang-${code}`, on: { click: () => choose(code) } }, nameOf(code)), own(code)),
      COLUMNS.map(([key, show]) => el("td", {}, show(valueOf(code, key))))))));
}

// ---- Languages before and after ----
const MOST_BARS = 20;
function bar(n, most, kind, said) {
  return el("span", { class: "bar-row" }, draw("svg", { width: "100%", height: 8, "aria-hidden": "true" },
    draw("rect", { class: `b ${kind}`, width: `${(100 * n) / most}%`, height: 8, rx: 2 })), el("span", { class: "bar-value" }, said));
}
function renderLanguageBars() {
  const total = card.total, of = (code, key) => card.languages[code][key] / (total[key] || NaN);
  const shown = matched.slice(0, MOST_BARS), most = Math.max(...shown.map((code) => Math.max(of(code, "matched"), of(code, "kept") || 0)), 1e-9);
  $("language-figure").hidden = matched.length < 2;
  const rest = matched.slice(MOST_BARS), left = (key) => rest.reduce((sum, code) => sum + of(code, key), 0);
  $("language-chart-note").textContent = `Shares of the matched and of the kept pairs${rest.length ? `; ${number(rest.length)} more languages have ${percent(left("matched"))} before and ${percent(left("kept"))} after` : ""}.`;
  fill("language-bars", shown.map((code) => el("div", {}, el("span", { class: "bar-name" }, nameOf(code)),
    el("span", {}, bar(of(code, "matched"), most, "before", percent(of(code, "matched"))), bar(of(code, "kept") || 0, most, "kept", percent(of(code, "kept")))))));
  const decided = card.decided;
  $("decided").textContent = decided ? `Languages were decided by: ${decided.steps.map(([name, n]) => `${name} ${number(n)}`).join("; ")}. Second opinion: ${decided.second}.` : "";
}

// ---- Texts and URLs ----
const shareBars = (label, rows, kind, names = "") => el("div", {}, el("h3", {}, label), el("div", { class: `panel bars one ${names}` }, rows.map(([name, s, said]) =>
  el("div", {}, el("span", { class: "bar-name" }, name), bar(s, Math.max(...rows.map((row) => row[1]), 1e-9), kind, said)))));
function renderTexts() {
  const c = card.content;
  if (!c) return fill("texts-lines", el("p", { class: "note" }, "Nothing was noted of the texts when these pairs were balanced: balance them again to have it here."));
  fill("texts-lines", card.content_lines.map((line) => el("p", { class: "note" }, line)));
  const { edges, shares } = c.texts;
  const lengths = shares.map((s, i) => [i + 1 < edges.length ? `${number(edges[i])}–${number(edges[i + 1] - 1)}` : `${number(edges[i])} or more`, s, percent(s)]);
  while (lengths.length > 1 && !lengths.at(-1)[1]) lengths.pop();
  const range = (d) => (d.low === d.high ? percent(d.share) : `${percent(d.share)} (${(100 * d.low).toFixed(1)}–${percent(d.high)})`);
  const domains = c.domains.map((d) => [d.domain ? bdi(d.domain) : "no host", d.share, range(d)]);
  fill("texts-figures", shareBars("Characters of a text", lengths, "kept"),
    domains.length ? shareBars("Domains, of pairs with a URL", domains, "kept", "long") : el("p", { class: "note" }, "No pair has a URL."));
}

// ---- Columns ----
const MOST_VALUES = 50;
function renderColumns() {
  const found = Object.entries(card.by || {});
  $("columns").hidden = $("link-columns").hidden = !found.length;
  fill("column-lists", found.map(([name, rows]) => [el("h3", {}, bdi(name)), rows.length > MOST_VALUES ? el("p", { class: "note" }, `The first ${MOST_VALUES} of ${number(rows.length)}; datacard.json has all.`) : null,
    el("div", { class: "panel scroll tall", tabindex: "0", role: "region", "aria-label": `Pairs by ${name}` }, el("table", {},
      el("thead", {}, row("th", ["Value", "Matched", "Share", "Kept", "Share", "Kept of matched"])),
      el("tbody", {}, rows.slice(0, MOST_VALUES).map((r) => row("td", [r.value == null ? "none" : bdi(r.value), number(r.matched), share(r.matched, card.total.matched),
        number(r.kept), share(r.kept, card.total.kept), share(r.kept, r.matched)])))))]));
}

// ---- Examples ----
function renderExamples() {
  const kinds = { kept: "Kept", not_sampled: "Not sampled", filtered: "Filtered" };
  const groups = [];
  for (const [kind, title] of Object.entries(kinds)) {
    const from = chosen ? [chosen] : matched;
    const lists = from.map((code) => (card.languages[code].examples[kind] || []).map((example, place) => ({ ...example, lang: code, image: card.thumbnails[`${code} ${kind} ${place}`] })));
    const mixed = [];
    for (let i = 0; mixed.length < 8 && lists.some((list) => list.length > i); i++) for (const list of lists) if (list.length > i) mixed.push(list[i]);
    const found = mixed.slice(0, 8);
    if (found.length) groups.push(el("div", { class: kind }, el("h3", {}, title), found.map((e) => pairArticle(e, kind))));
  }
  const dropped = card.dropped_examples.filter((example) => !chosen || example.lang === chosen);
  if (dropped.length) groups.push(el("div", { class: "dropped" }, el("h3", {}, "Dropped"), dropped.slice(0, 24).map((e) => el("article", {},
    el("p", { class: "quote", dir: "auto" }, quoted(e.text)), el("p", { class: "why" }, el("b", {}, words(e.reason)), REASONS[e.reason] ? `: ${REASONS[e.reason]}` : "", chosen || !e.lang ? "" : ` · ${nameOf(e.lang)}`)))));
  fill("example-lists", groups.length ? groups : el("p", { class: "note" }, "This card was made without examples, or there are none."));
}
const REASONS = { no_match: "no entry of its language occurs in it", no_metadata: "there are no entries for its language", empty_text: "nothing but spaces", null_text: "no text", invalid_utf8: "its bytes are no UTF-8", retracted: "taken out on demand" };
function pairArticle(e, kind) {
  const t = card.languages[e.lang].t, least = e.entries[0];
  const why = e.probability === 1 ? ["probability 1: ", bdi(least.entry), ` matches ${number(least.count)} ${least.count === 1 ? "pair" : "pairs"}, t is ${number(t)}`]
    : [`draw ${digits(e.draw)} ${e.draw < e.probability ? "<" : "≥"} probability ${digits(e.probability)}`];
  const more = e.num_entries - e.entries.length;
  return el("article", {}, e.image ? el("img", { class: "thumb", alt: "", src: e.image }) : null, el("p", { class: "quote", dir: "auto" }, quoted(e.text)),
    el("p", { class: "why" }, el("b", {}, words(kind)), ": ", why, chosen ? "" : ` · ${nameOf(e.lang)}`),
    el("ul", { class: "chips", "aria-label": "Entries, the rarest first" }, e.entries.map((x) => el("li", {}, bdi(x.entry), el("span", {}, number(x.count)))), more > 0 ? el("li", {}, `and ${more} more`) : null));
}

// ---- Classes ----
let classOrder = { key: "count", up: true };
function renderClasses() {
  const c = card.classes;
  if (!c) return fill("class-coverage", el("p", { class: "note" }, "No list of classes was given. ", el("code", {}, "curate card --classes FILE"), " shows how many pairs match each of them: a class per line, its names separated by tabs."));
  const steps = [["Classes", c.classes], ["Are entries", c.entries], ["Match pairs", c.matched], ["In the head", c.head], ["Have kept pairs", c.kept]];
  const cells = c.rows.map((r) => ({ ...r, name: r.class }));
  const change = (next) => { classOrder = next; keepFocus("class-coverage", renderClasses); };
  const heads = [["class", "Class"], ["entry", "Entry"], ["count", "Count"], ["slots", "Slots"], ["kept", "Kept pairs"]];
  fill("class-coverage", el("dl", { class: "tiles" }, steps.map(([name, n]) => el("div", {}, el("dt", {}, name), el("dd", {}, number(n)), el("small", {}, share(n, c.classes))))),
    el("p", { class: "note" }, "Names of ", bdi(c.path), ` are looked for among the entries of ${nameOf(c.lang)}, as they are and in lower case.`, c.rows.length < c.classes ? ` The ${number(c.rows.length)} rarest are listed.` : ""),
    el("div", { class: "panel scroll tall", tabindex: "0", role: "region", "aria-label": "Classes" }, el("table", { class: "sortable", id: "class-table" },
      el("thead", {}, el("tr", {}, heads.map(([key, label]) => sortHead(key, label, classOrder, change, key === "class" || key === "entry" ? { class: "text" } : {})))),
      el("tbody", {}, sorted(cells, (r) => r[classOrder.key], classOrder.up).map((r) => el("tr", {}, el("td", { class: "text" }, bdi(r.class)), el("td", { class: "text" }, r.entry == null ? "–" : bdi(r.entry)),
        el("td", {}, number(r.count)), el("td", {}, number(r.slots)), el("td", {}, number(r.kept))))))));
}

// ---- What sites say of the use of their pairs ----
function renderSignals() {
  const names = { page: "Pages", server: "Servers of images" };
  const got = card.downloaded ? el("p", { class: "note" }, `Images were asked for by ${number(card.downloaded.pairs)} pairs; ${number(card.downloaded.images)} came.`) : null;
  if (!card.said.length) return fill("signal-lists", el("p", { class: "note" }, "Nothing is known of it: these pairs are from no crawl that was read here, and no images were downloaded."));
  fill("signal-lists", got, el("div", { class: "two" }, card.said.map((one) => el("div", {}, el("h3", {}, names[one.of]),
    el("p", { class: one.text.includes("although") ? "note warned" : "note" }, one.text),
    one.signals.length ? el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": `Signals of ${names[one.of].toLowerCase()}` },
      el("table", {}, el("thead", {}, row("th", ["Signal", "Pairs"])), el("tbody", {}, [...one.signals].sort((a, b) => b[1] - a[1]).map(([name, n]) => row("td", [quoted(name), number(n)]))))) : el("p", { class: "note" }, "No signal.")))),
    el("h3", {}, "Read as these texts say"), el("dl", { class: "panel facts" }, Object.entries(card.opt_outs.sources).map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
}

// ---- Origin ----
function renderOrigin() {
  fill("command", card.command.split("\n").map((line, i) => [i ? "\n" : "", quoted(line)]));
  const facts = [["Seed", number(card.seed)], ["Format", card.format], ...(card.date ? [["Date", card.date]] : []), ...(card.license ? [["License", quoted(card.license)]] : []), ["Normalization", card.normalization], ["Metadata sha256", card.metadata_hash], ["Matches sha256", card.matched],
    ["Parameters sha256", card.balanced], ["LID model sha256", card.lid_model || "none: the language was given"], ["Schema", card.schema_version],
    ["Versions", Object.entries(card.versions).map(([name, v]) => `${name} ${v}`).join(", ")]];
  fill("facts", facts.map(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
  $("num-inputs").textContent = card.num_inputs > card.inputs.length ? `the first ${number(card.inputs.length)} of ${number(card.num_inputs)}; datacard.json has all` : "";
  table("inputs", ["File", "Bytes", "sha256"], card.inputs.map((i) => [bdi(i.path), number(i.size_bytes), el("span", { class: "hash" }, i.sha256)]));
}

// ---- Together ----
function choose(code) {
  chosen = code;
  $("language").value = code;
  renderScoped();
  keepFocus("language-table", renderLanguages);
}
function renderScoped() { renderLead(); renderFlow(); renderCurve(); renderEntries(); renderExamples(); }
fill("language", el("option", { value: "" }, "All languages"), matched.map((code) => el("option", { value: code }, `${nameOf(code)} (${code})`)));
$("language").addEventListener("change", (event) => choose(event.target.value));
for (const input of document.querySelectorAll(".switch input")) input.addEventListener("change", renderCurve);
$("curve-cursor").addEventListener("input", moveCursor);
$("find-language").addEventListener("input", renderLanguages);
$("copy").addEventListener("click", async () => {
  const range = document.createRange();
  range.selectNodeContents($("command"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  $("copy").textContent = document.execCommand("copy") ? "Copied" : "Selected";
});
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
let waiting = 0, lastWidth = innerWidth;
addEventListener("resize", () => { if (innerWidth !== lastWidth) { lastWidth = innerWidth; cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => { renderFlow(); renderCurve(); }); } });
// Where few entries hold most matches, a linear axis shows a flat line with a wall at its end.
if (card.total.entries_head > card.total.entries / 10) $("curve").querySelector("[value=linear]").checked = true;
renderScoped();
renderLanguages();
renderClasses();
renderLanguageBars();
renderTexts();
renderColumns();
fill("set-about", [card.date, card.license].filter(Boolean).map((one) => [" · ", bdi(one)]));
if (card.name) fill("set-name", bdi(card.name));
renderSignals();
renderOrigin();
document.documentElement.dataset.ready = "yes";
