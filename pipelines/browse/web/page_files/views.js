// ---- Overview ----
function overviewView(view) {
  title(about.name);
  const sum = (key) => (about.languages.length && about.languages.every((one) => one[key] != null) ? about.languages.reduce((all, one) => all + one[key], 0) : null);
  const first = about.sets[0];
  fill(view, el("h1", {}, bdi(about.name)),
    about.notes.map((note) => el("p", { class: "note" }, quoted(note))),
    tiles([
      first && ["Pairs", number(first.pairs), first.label.toLowerCase()],
      about.has_fate && ["Kept", number(sum("kept")), `${percent(sum("kept") / sum("pairs"))} of them`],
      about.languages.length && ["Languages", number(about.languages.filter((one) => one.pairs).length), `with pairs, of ${number(about.languages.length)}`],
      about.has_entries && ["Entries", number(about.entries ?? sum("entries")), "of all languages"],
      about.t && ["t", number(about.t), "pairs per entry, about"],
    ]),
    about.sets.length > 1 ? el("p", { class: "note" }, "Also here: ", about.sets.slice(1).map((one) => [el("a", { href: address("pairs", { set: one.name }) }, one.label.toLowerCase()), one.pairs == null ? " " : ` (${number(one.pairs)}) `])) : null,
    about.languages.length ? [el("h2", {}, "Languages"),
      table(["Language", "Pairs", ...(about.has_fate ? ["Kept", "of them"] : []), "Entries", ...(about.t ? ["t"] : [])],
        [...about.languages].sort((a, b) => (b.pairs || 0) - (a.pairs || 0)).map((one) => [
          [el("a", { href: address("pairs", { lang: one.lang }) }, one.name), one.own !== one.name ? el("span", { class: "own" }, bdi(one.own)) : null],
          number(one.pairs), ...(about.has_fate ? [number(one.kept), percent(one.kept / one.pairs)] : []),
          about.has_entries ? el("a", { href: address("entries", { lang: one.lang }), "aria-label": `Entries of ${one.name}` }, number(one.entries)) : number(one.entries), ...(about.t ? [number(one.t)] : [])]), { "aria-label": "Languages" })]
      : first ? el("p", {}, el("a", { class: "button", href: address("pairs") }, "Look at them")) : null);
}

// ---- Entries ----
async function entriesView(view, asked) {
  title("Entries");
  const now = { ...asked };
  const set = (name, value) => { if (value) now[name] = value; else delete now[name]; };
  let waiting = 0, running = new AbortController();
  const list = el("div"), foot = el("div", { class: "more" });
  const input = el("input", { type: "search", id: "find-entry", value: now.q || "", autocomplete: "off", spellcheck: "false", dir: "auto", on: { input: (event) => { set("q", event.target.value); clearTimeout(waiting); waiting = setTimeout(go, 120); } } });
  fill(view, el("h1", {}, "Entries", el("small", {}, about.entries ? number(about.entries) : "")),
    el("form", { class: "panel filters", role: "search", "aria-label": "Find entries", on: { submit: (event) => { event.preventDefault(); go(); } } },
      el("label", { class: "wide" }, "Find", input),
      el("label", {}, "Where", el("select", { name: "way", on: { change: (event) => { set("way", event.target.value); go(); } } }, [["", "Anywhere"], ["begins", "At the beginning"], ["is", "The whole entry"]].map(([value, name]) => el("option", { value, selected: value === (now.way || "") }, name)))),
      el("label", {}, "Language", languagePick("entries-language", now.lang, (value) => { set("lang", value); go(); }, about.has_index ? "All languages" : "Choose one"))),
    list, foot);
  const SORTS = [["", "Entry"], ["language", "Language"], ["source", "Source"], ["count", "Pairs"], ["slots", "Slots"], ["kept", "Kept"]].filter(([key]) => about.has_fate || (key !== "kept" && (key !== "slots" || about.t)))
    .filter(([key]) => about.has_index || !["source", "kept"].includes(key));
  let rows = [];
  function render(found) {
    const key = document.activeElement.dataset ? document.activeElement.dataset.sort : null, sort = now.sort || "count";
    const head = SORTS.map(([name, label]) => el("th", { scope: "col", class: ["", "language", "source"].includes(name) ? "text" : "", "aria-sort": name && sort === name ? "descending" : null },
      name && about.has_index ? el("button", { type: "button", "data-sort": name, on: { click: () => { set("sort", name === "count" ? "" : name); go(); } } }, label) : el("span", {}, label)));
    const body = rows.map((one) => SORTS.map(([name]) => ({ "": entryLink(one.lang, one.entry_id, one.entry), language: nameOf(one.lang), source: one.source || "–", count: number(one.count), slots: number(one.slots), kept: number(one.kept) })[name]));
    const shown = table(head, body, { class: "sortable", id: "entry-table", "aria-label": "Entries" });
    for (const row of shown.querySelectorAll("tbody tr")) SORTS.forEach(([name], i) => { if (["language", "source"].includes(name)) row.children[i].classList.add("text"); });
    fill(list, rows.length ? shown : el("p", {}, "No entry."));
    if (key) list.querySelector(`[data-sort="${key}"]`)?.focus();
    const all = found.is_all ? `${several(found.num, "entry").replace("entrys", "entries")}` : `the first ${number(rows.length)}; there are more`;
    fill(foot, all, rows.length < found.num || !found.is_all ? (rows.length < 2000 ? el("button", { type: "button", class: "button", id: "more", on: { click: () => load(rows.length) } }, "More") : " A search goes no further down.") : null);
    say(`${all} found`);
  }
  async function load(first) {
    running.abort();
    running = new AbortController();
    const mine = running;
    try {
      const found = await ask("entries", { ...now, first, num: 50 }, mine.signal);
      if (mine.signal.aborted) return;
      rows = first ? [...rows, ...found.rows] : found.rows;
      render(found);
    } catch (error) { if (error.name !== "AbortError") { fill(list, problem(error)); fill(foot); } }
  }
  function go() { remember("entries", now); load(0); }
  await load(0);
}

async function entryView(view, lang, id) {
  title("Entry");
  const one = await ask("entry", { lang, id });
  title(one.entry);
  const grid = makeGrid("Pairs of this entry");
  grid.take(one.pairs, one.set);
  const most = Math.max(1, ...(one.together || []).map((x) => x.pairs));
  fill(view, el("p", { class: "muted" }, el("a", { href: address("entries", { lang }) }, nameOf(lang)), one.source ? ` · ${one.source}` : "", ` · number ${number(one.entry_id)}`),
    el("h1", {}, bdi(one.entry)),
    tiles([["Pairs", number(one.count), "match it"],
      one.kept != null && ["Kept", number(one.kept), `${percent(one.kept / (one.count || NaN))} of them`],
      one.slots != null && ["Slots", number(one.slots), `min(count, t), t = ${number(one.t)}`],
      one.probability != null && ["Probability", digits(one.probability), one.count < one.t ? "in the tail: it keeps every pair" : "of its own draw"]]),
    one.together ? [el("h2", {}, "Together with", el("small", {}, one.looked < one.count ? `in the first ${number(one.looked)} of its pairs` : "in its pairs")),
      one.together.length ? el("ul", { class: "chips" }, one.together.map((x) => el("li", {}, entryLink(lang, x.id, x.entry, el("span", {}, `${number(x.pairs)} · ${percent(x.pairs / one.looked)}`))))) : el("p", { class: "muted" }, "No other entry.")] : null,
    el("h2", {}, "Pairs", el("small", {}, `${number(one.pairs.length)} of ${number(one.count)}`)), grid,
    el("div", { class: "more" }, one.following ? [
      el("a", { class: "button", href: address("pairs", { lang, entry: id }) }, "All"),
      about.has_fate ? [el("a", { class: "button", href: address("pairs", { lang, entry: id, fate: "kept" }) }, "Kept"), el("a", { class: "button", href: address("pairs", { lang, entry: id, fate: "not_sampled" }) }, "Not sampled")] : null] : null));
  return most;
}

// ---- What if ----
// Round numbers from 0 up to a largest one: 1, 2 or 5 times a power of ten apart.
function roundTicks(most, about) {
  const rough = most / about, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => +(i * step).toPrecision(12));
}
function chart(label, series, x, options = {}) {
  const width = Math.max(280, Math.min(620, (options.width || 560))), height = 260, pad = { left: 58, right: 18, top: 12, bottom: 30 };
  const right = Math.max(...x, 1), low = options.log ? Math.max(1, Math.min(...x)) : 0;
  const top = Math.max(1, ...series.flatMap(([, values]) => values));
  const px = options.log ? (v) => pad.left + (width - pad.left - pad.right) * (Math.log(Math.max(low, v) / low) / (Math.log(right / low) || 1))
    : (v) => pad.left + (width - pad.left - pad.right) * (v / right);
  const py = (v) => height - pad.bottom - (height - pad.top - pad.bottom) * (v / top);
  const parts = [];
  for (const v of roundTicks(top, 4)) parts.push(draw("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: py(v), y2: py(v) }),
    draw("text", { x: pad.left - 8, y: py(v) + 4, "text-anchor": "end" }, brief(v)));
  const ticks = options.log ? Array.from({ length: 16 }, (_, i) => 10 ** i).filter((v) => v >= low && v <= right) : roundTicks(right, 5);
  const thin = ticks.filter((_, i) => i % Math.ceil(ticks.length / 6) === 0);
  for (const v of thin) parts.push(draw("text", { x: px(v), y: height - 8, "text-anchor": px(v) > width - 60 ? "end" : v === 0 ? "start" : "middle" }, brief(v)));
  for (const [kind, values] of series) parts.push(draw("path", { class: `line ${kind}`, d: `M${values.map((v, i) => `${px(x[i]).toFixed(1)} ${py(v).toFixed(1)}`).join("L")}` }));
  if (options.now != null) parts.push(draw("line", { class: "now", x1: px(options.now[0]), x2: px(options.now[0]), y1: pad.top, y2: height - pad.bottom }), draw("circle", { class: "dot", cx: px(options.now[0]), cy: py(options.now[1]), r: 5 }));
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, parts);
}
async function whatIfView(view, asked) {
  title("What if");
  const own = Object.fromEntries(Object.entries(asked).filter(([name, v]) => name.startsWith("t.") && +v >= 1));
  let t = Math.max(1, Math.round(+asked.t || about.t || 1)), lang = asked.lang || "", running = new AbortController();
  const first = await ask("what-if", { t, lang, ...own });
  const largest = Math.max(2, first.largest);
  // The slider is logarithmic: a thousand steps from 1 to the count of the most frequent entry.
  const toStep = (v) => Math.round((1000 * Math.log(Math.min(v, largest))) / Math.log(largest));
  const toT = (step) => Math.max(1, Math.min(largest, Math.round(Math.exp((step / 1000) * Math.log(largest)))));
  const slider = el("input", { type: "range", id: "t-slider", min: 0, max: 1000, step: 1, value: toStep(t), "aria-label": "t, pairs per entry", on: { input: () => { t = toT(+slider.value); box.value = t; go(); } } });
  const box = el("input", { type: "number", id: "t-box", min: 1, step: 1, value: t, "aria-label": "t", on: { input: () => { if (+box.value >= 1) { t = Math.round(+box.value); slider.value = toStep(t); go(); } } } });
  const sums = el("div"), curves = el("div", { class: "two" }), rows = new Map();
  const pick = languagePick("what-language", lang, (value) => { lang = value; go(); });
  const body = el("tbody");
  fill(view, el("h1", {}, "What if t were another?"),
    el("p", { class: "note" }, "Kept pairs are those that curate yield counts, with the draws of seed ", number(about.seed), ", before filters. A language may have a t of its own."),
    el("div", { class: "panel slider" }, el("label", { class: "label", for: "t-slider" }, "t, pairs per entry"), slider, box),
    sums, el("div", { class: "filters" }, el("label", {}, "Curves of", pick)), curves,
    el("h2", {}, "Languages"), el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": "Languages" },
      el("table", { id: "what-table" }, el("thead", {}, el("tr", {}, ["Language", "t", "Kept", "of matched", "Slots"].map((name) => el("th", { scope: "col" }, name)))), body)));
  for (const [code, one] of Object.entries(first.languages).sort((a, b) => b[1].matched - a[1].matched)) {
    const cells = ["kept", "share", "slots"].map(() => el("td"));
    const field = el("input", { type: "number", min: 1, step: 1, placeholder: String(one.t), value: own[`t.${code}`] || "", "aria-label": `t of ${nameOf(code)}`, "data-lang": code,
      on: { input: () => { if (+field.value >= 1) own[`t.${code}`] = String(Math.round(+field.value)); else delete own[`t.${code}`]; go(); } } });
    rows.set(code, { cells, field });
    body.append(el("tr", {}, el("th", { scope: "row" }, el("a", { href: address("pairs", { lang: code }) }, nameOf(code))), el("td", {}, field), cells));
  }
  function render(found) {
    const one = lang ? found.languages[lang] : found.total, all = found.total;
    fill(sums, tiles([["Kept", el("span", { id: "what-kept" }, number(all.kept)), `${percent(all.kept / all.matched)} of ${number(all.matched)} matched`],
      ["Slots", number(all.slots), `Σ min(count, t), ${(all.slots / Math.max(1, all.kept)).toFixed(2)} per pair`], ["Matches", number(all.matches), "of all pairs, with all entries"],
      lang && [`Kept, ${nameOf(lang)}`, number(one.kept), `${percent(one.kept / one.matched)} of its pairs`]]));
    const mine = lang ? found.languages[lang].t : found.t;
    const [grid, kept] = found.yield, [entries, matches, slots] = found.entries;
    const wide = view.clientWidth > 960 ? (view.clientWidth - 120) / 2 : view.clientWidth - 70;
    fill(curves, el("figure", { class: "panel" }, el("ul", { class: "legend" }, el("li", { class: "kept" }, "Pairs kept, over t")),
      chart(`Pairs kept over t: ${number(one.kept)} at t = ${number(mine)}`, [["kept", kept]], grid, { log: true, now: [mine, one.kept], width: wide })),
    el("figure", { class: "panel" }, el("ul", { class: "legend" }, el("li", { class: "before" }, "Matches"), el("li", { class: "slots" }, "Slots at this t"), el("li", { class: "muted" }, "over entries, the rarest first")),
      chart("Cumulated matches and slots over entries, the rarest first", [["before", matches], ["slots", slots]], entries, { width: wide })));
    for (const [code, { cells, field }] of rows) {
      const x = found.languages[code];
      field.placeholder = String(found.t);
      [number(x.kept), percent(x.kept / x.matched), number(x.slots)].forEach((text, i) => { cells[i].textContent = text; });
    }
    slider.setAttribute("aria-valuetext", `t = ${number(t)}: ${number(all.kept)} pairs kept`);
    document.documentElement.dataset.shown = `${found.t}`;
  }
  async function go() {
    running.abort();
    running = new AbortController();
    const mine = running;
    remember("what-if", { t, lang, ...own });
    try {
      const found = await ask("what-if", { t, lang, ...own }, mine.signal);
      if (!mine.signal.aborted) render(found);
    } catch (error) { if (error.name !== "AbortError") fill(sums, problem(error)); }
  }
  render(first);
}

// ---- Why ----
async function whyView(view, asked) {
  title("Why");
  const text = el("textarea", { id: "why-text", rows: 3, dir: "auto", maxlength: 4000 }, asked.text || "");
  const url = el("input", { type: "text", id: "why-url", value: asked.url || "", dir: "ltr", spellcheck: "false" });
  const t = el("input", { type: "number", id: "why-t", min: 1, value: asked.t || "", placeholder: about.t ? String(about.t) : "" });
  const text0 = asked.pair ? (await ask("why", { pair: asked.pair })) : null;
  if (text0) text.value = text0.text || "";
  const out = el("div", { id: "why-answer", "aria-live": "polite" });
  const pick = languagePick("why-language", asked.lang, () => {}, "Identify it");
  fill(view, el("h1", {}, "Why?"), el("p", { class: "note" }, "What a text matches, and whether its pair is kept, as curate explain says it. With the URL of its image the pair's own draw is known."),
    el("form", { class: "panel fields", on: { submit: (event) => { event.preventDefault(); go(); } } },
      el("label", {}, "Text", text), el("div", { class: "row" }, el("label", {}, "Language", pick), el("label", {}, "t", t)), el("label", {}, "URL of its image", url),
      el("div", {}, el("button", { class: "button strong", type: "submit" }, "Explain"))), out);
  async function go() {
    const now = { text: text.value, lang: pick.value, url: url.value, t: t.value };
    remember("why", now);
    if (!now.text.trim()) return;
    fill(out, el("p", { class: "wait" }, "…"));
    try { fill(out, explained(await ask("why", now))); } catch (error) { fill(out, problem(error)); }
  }
  if (text0) fill(out, el("p", { class: "note" }, "The stored pair ", el("span", { class: "hash" }, quoted(asked.pair))), explained(text0));
  else if (asked.text) await go();
}
function explained(found) {
  const parts = [el("h2", {}, "Decision"), el("p", {}, quoted(found.decision))];
  if (found.lang) parts.push(el("p", { class: "note" }, `${nameOf(found.lang)} (${found.lang})${found.lang_score == null ? "" : `, score ${digits(found.lang_score, 3)}`}. `, (found.lang_steps || []).map((step) => [quoted(step), ". "])));
  for (const note of found.notes || []) parts.push(el("p", { class: "note" }, quoted(note)));
  for (const [name, one] of Object.entries(found.normalizations || {})) {
    const shown = { text: one.normalized.trim(), entries: one.matches.map((m) => ({ entry: m.entry })), marks: one.matches.flatMap((m, i) => m.spans.map(([a, b]) => [a, b, i])) };
    const cut = one.normalized.length - one.normalized.trimStart().length;
    shown.marks = shown.marks.map(([a, b, i]) => [a - cut, b - cut, i]);
    parts.push(el("h2", {}, name, el("small", {}, name === found.normalization ? "as matched" : "")), el("div", { class: "panel fields" }, el("p", { class: "quote", dir: "auto" }, markedText(shown)), el("p", { class: "muted" }, quoted(one.decision))),
      one.matches.length ? table(["Entry", "Source", "Pairs", "Probability"], one.matches.map((m) => [entryLink(found.lang, m.entry_id, m.entry), m.source, number(m.count), digits(m.probability)]), { "aria-label": `Entries, ${name}` }) : null);
  }
  return parts;
}

// ---- A run ----
async function runView(view) {
  title("Run");
  const run = await ask("run");
  const curve = run.loss.length ? chart(`Loss over steps, ${digits(run.loss[0][1], 3)} to ${digits(run.loss.at(-1)[1], 3)}`, [["kept", run.loss.map(([, y]) => y)]], run.loss.map(([x]) => x), { width: view.clientWidth - 70 }) : null;
  const figures = Object.entries(run.card || {}).map(([name, value]) => [el("dt", {}, words(name)), el("dd", {}, typeof value === "number" ? number(value) : quoted(value ?? "–"))]);
  fill(view, el("h1", {}, bdi(about.name)), tiles([["Steps", number(run.steps), `of ${number(run.of)}${run.is_whole ? ", done" : ""}`], run.loss.length && ["Loss", digits(run.loss.at(-1)[1], 4), "at the last step that is logged"]]),
    curve ? [el("h2", {}, "Loss"), el("figure", { class: "panel" }, curve)] : null,
    run.languages ? [el("h2", {}, "Trained on"), table(["Language", "Pairs", "Share", "Matches", "Distinct entries"], Object.entries(run.languages).map(([lang, one]) => [lang, number(one.pairs), percent(one.share), number(one.matches), number(one.distinct_entries)]), { "aria-label": "Languages" })] : null,
    figures.length ? [el("h2", {}, "Model card"), el("dl", { class: "panel facts fields" }, figures)] : null);
}
