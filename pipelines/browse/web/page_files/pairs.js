// ---- Pairs ----
const FATES = { kept: "kept", not_sampled: "not sampled", filtered: "filtered", dropped: "does not count" };
const marked = new Map(JSON.parse(sessionStorage.getItem("marked") || "[]"));
function marksChanged() {
  sessionStorage.setItem("marked", JSON.stringify([...marked]));
  renderLinks();
  for (const card of document.querySelectorAll(".card[data-id]")) card.classList.toggle("marked", marked.has(card.dataset.id));
}
function toggleMark(pair) {
  if (!pair.id) return say("This pair has no id, so that it cannot be named");
  if (marked.has(pair.id)) marked.delete(pair.id); else marked.set(pair.id, { text: (pair.text || "").slice(0, 120), url: pair.url });
  marksChanged();
  say(marked.has(pair.id) ? `Marked; ${several(marked.size, "pair")} in the list` : `No longer marked; ${several(marked.size, "pair")} in the list`);
}

// A text with the entries that match it marked; places are counted in characters.
function markedText(pair) {
  if (pair.text == null) return el("span", { class: "muted" }, "no text");
  const chars = [...pair.text], owner = new Array(chars.length).fill(null);
  for (const [start, stop, which] of pair.marks || []) for (let i = start; i < Math.min(stop, chars.length); i++) owner[i] = owner[i] == null ? [which] : [...owner[i], which];
  const parts = [];
  for (let i = 0; i < chars.length;) {
    let j = i;
    while (j < chars.length && String(owner[j]) === String(owner[i])) j++;
    const piece = quoted(chars.slice(i, j).join(""));
    const names = owner[i] && owner[i].map((which) => pair.entries[which]).filter(Boolean).map((one) => one.entry);
    parts.push(owner[i] ? el("mark", { title: names.length ? names.join(" · ") : null }, piece) : piece);
    i = j;
  }
  return parts;
}
function host(url) {
  try { return new URL(url).host; } catch { return url.slice(0, 60); }
}
// Only what a browser opens as a page is a link, and only a click opens it.
const isPage = (url) => /^https?:\/\//i.test(url);
function thumb(pair, set, size, name) {
  const box = el("div", { class: name });
  const image = el("img", { src: imageOf(pair, set, size), alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => { box.classList.add("failed"); fill(box, "The image cannot be shown"); });
  return add(box, [image]);
}
function card(pair, set) {
  const node = el("article", { class: `card${marked.has(pair.id) ? " marked" : ""}`, tabindex: "-1", "data-at": pair.at, "data-id": pair.id || "",
    role: "button", "aria-haspopup": "dialog", "aria-label": `${pair.fate ? `${FATES[pair.fate]}: ` : ""}${(pair.text || "no text").slice(0, 160)}` },
    pair.image ? thumb(pair, set, 224, "thumb") : null,
    el("div", { class: "body" },
      el("p", { class: "quote", dir: "auto" }, markedText(pair)),
      el("div", { class: "meta" }, pair.fate ? el("span", { class: `tag ${pair.fate}` }, FATES[pair.fate]) : null,
        pair.lang ? el("span", { title: nameOf(pair.lang) }, pair.lang) : null,
        pair.url ? el("span", { class: "host", dir: "ltr" }, quoted(host(pair.url))) : null)));
  node.pair = pair;
  node.set = set;
  return el("li", {}, node);
}
// One stop of the Tab key for all cards; arrows lead from one to the other.
function makeGrid(label) {
  const grid = el("ul", { class: "grid", "aria-label": label });
  const cards = () => [...grid.querySelectorAll(".card")];
  const go = (to) => { if (!to) return; for (const one of cards()) one.tabIndex = -1; to.tabIndex = 0; to.focus(); to.scrollIntoView({ block: "nearest" }); };
  grid.addEventListener("keydown", (event) => {
    const all = cards(), at = all.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const columns = Math.max(1, all.filter((one) => Math.abs(one.getBoundingClientRect().top - all[0].getBoundingClientRect().top) < 4).length);
    const rtl = getComputedStyle(grid).direction === "rtl" ? -1 : 1;
    const steps = { ArrowRight: rtl, ArrowLeft: -rtl, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: all.length - 1 - at };
    if (event.key in steps) { event.preventDefault(); go(all[Math.max(0, Math.min(all.length - 1, at + steps[event.key]))]); }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); openPair(all[at].set, all[at].pair.at); }
    else if (event.key === "m") toggleMark(all[at].pair);
  });
  grid.addEventListener("click", (event) => {
    const found = event.target.closest(".card");
    if (found) { go(found); openPair(found.set, found.pair.at); }
  });
  grid.take = (pairs, set) => {
    add(grid, pairs.map((pair) => card(pair, set)));
    if (!cards().some((one) => one.tabIndex === 0) && cards().length) cards()[0].tabIndex = 0;
  };
  return grid;
}

async function openPair(set, at) {
  const box = $("pair"), state = here();
  fill(box, el("div", { class: "inside" }, el("p", { class: "wait" }, "…")));
  if (!box.open) box.showModal();
  try {
    showPair(box, await ask("pair", { set, at }));
    box.querySelector("h2 button").focus();
    if (state.path[0] === "pairs") remember("pairs", { ...state.asked, open: at });
  } catch (error) { fill(box, el("div", { class: "inside" }, problem(error), closeButton(box))); }
}
const closeButton = (box) => el("button", { type: "button", class: "button", on: { click: () => box.close() } }, "Close");
function showPair(box, pair) {
  const facts = [];
  const fact = (name, value) => { if (value != null && value !== "") facts.push(el("dt", {}, name), el("dd", { dir: "auto" }, value)); };
  fact("Language", pair.lang ? `${nameOf(pair.lang)} (${pair.lang})${pair.score == null ? "" : `, score ${digits(pair.score, 3)}`}` : null);
  fact("URL", pair.url ? (isPage(pair.url) ? el("a", { href: pair.url, target: "_blank", rel: "noopener noreferrer external", dir: "ltr" }, quoted(pair.url)) : el("span", { dir: "ltr" }, quoted(pair.url))) : null);
  fact("Id", pair.id ? el("span", { class: "hash" }, quoted(pair.id)) : null);
  const t = (about.languages.find((one) => one.lang === pair.lang) || {}).t;
  if (pair.draw != null && pair.probability != null) fact("Decision", `${pair.fate ? `${FATES[pair.fate]}: ` : ""}draw ${digits(pair.draw)} ${pair.draw < pair.probability ? "<" : "≥"} probability ${digits(pair.probability)} at t = ${number(t)}`);
  else fact("Probability", pair.probability == null ? null : digits(pair.probability));
  fact("Kept by", pair.t ? `every t of at least ${number(pair.t)}` : null);
  for (const [name, value] of Object.entries(pair.own)) fact(quoted(name), typeof value === "number" ? digits(value, 6) : quoted(value));
  const entries = (pair.entries || []).map((one) => el("li", {}, entryLink(pair.lang, one.id, one.entry, el("span", {}, number(one.count)))));
  const more = (pair.num_entries || 0) - (pair.entries || []).length;
  const mark = el("button", { type: "button", class: "button", "aria-pressed": String(marked.has(pair.id)), disabled: !pair.id, on: { click: () => { toggleMark(pair); showPair(box, pair); box.querySelector("[aria-pressed]").focus(); } } },
    marked.has(pair.id) ? "Marked to be retracted" : "Mark to be retracted");
  fill(box, el("div", { class: "inside" },
    el("h2", { id: "pair-title" }, "Pair", closeButton(box)),
    pair.image ? thumb(pair, pair.set, 720, "big") : null,
    el("p", { class: "quote", dir: "auto" }, markedText(pair)),
    entries.length ? el("ul", { class: "chips", "aria-label": "Entries, the rarest first" }, entries, more > 0 ? el("li", { class: "muted" }, `and ${more} more`) : null) : null,
    el("dl", { class: "facts" }, facts),
    el("div", { class: "actions" }, mark,
      about.has_metadata && pair.text ? el("a", { class: "button", href: address("why", about.has_index && pair.set === "matched" && pair.id ? { pair: pair.id } : { text: pair.text.slice(0, 1500), lang: pair.lang }), on: { click: () => box.close() } }, "Why?") : null)));
}

async function pairsView(view, asked) {
  const sets = about.sets, chosen = sets.find((one) => one.name === asked.set) || sets[0];
  if (!chosen) return fill(view, el("p", { class: "note" }, "There are no pairs here."));
  title("Pairs");
  const now = { ...asked };
  delete now.open;
  const set = (name, value) => { if (value) now[name] = value; else delete now[name]; };
  const change = (name) => (event) => { set(name, event.target.value.trim()); if (name === "lang") set("entry", ""); go(); };
  const field = (name, label, attributes = {}) => el("label", { class: attributes.class }, label,
    el("input", { type: "search", name, value: now[name] || "", autocomplete: "off", spellcheck: "false", ...attributes.input, on: { change: change(name) } }));
  const options = (list, at) => list.map(([value, name]) => el("option", { value, selected: value === (at || "") }, name));
  const columns = Object.entries(chosen.columns), column = now.column && chosen.columns[now.column] ? now.column : "";
  const hasLang = about.languages.length > 0;
  const head = el("p", { class: "note", id: "entry-note" });
  const form = el("form", { class: "panel filters", role: "search", "aria-label": "Filters", on: { submit: (event) => { event.preventDefault(); go(); } } },
    sets.length > 1 ? el("label", {}, "From", el("select", { name: "set", on: { change: (event) => { for (const key of Object.keys(now)) if (!["lang", "text", "domain"].includes(key)) delete now[key]; set("set", event.target.value); go(true); } } }, options(sets.map((one) => [one.name, one.label]), chosen.name))) : null,
    field("text", "Text holds", { class: "wide", input: { id: "find-text" } }),
    hasLang ? el("label", {}, "Language", languagePick("pairs-language", now.lang, (value) => { set("lang", value); set("entry", ""); go(); })) : null,
    about.has_fate && chosen.name === "matched" ? el("label", {}, "What became of it", el("select", { name: "fate", on: { change: change("fate") } }, options([["", "All"], ["kept", "Kept"], ["not_sampled", "Not sampled"], ["filtered", "Filtered"], ["dropped", "Does not count"]], now.fate))) : null,
    field("domain", "Domain", { input: { placeholder: "example.org", dir: "ltr" } }),
    chosen.name === "matched" ? el("span", { class: "pair-of" }, field("score_from", "Score from", { input: { class: "few", type: "number", step: "any" } }), field("score_to", "to", { input: { class: "few", type: "number", step: "any" } })) : null,
    columns.length ? el("label", {}, "Column", el("select", { name: "column", on: { change: (event) => { for (const key of ["is", "from", "to"]) delete now[key]; set("column", event.target.value); go(true); } } }, options([["", "Any"], ...columns.map(([name]) => [name, name])], column))) : null,
    column ? (chosen.columns[column] === "number" ? el("span", { class: "pair-of" }, field("from", "From", { input: { class: "few", type: "number", step: "any" } }), field("to", "to", { input: { class: "few", type: "number", step: "any" } })) : field("is", "Is")) : null,
    el("button", { class: "button", type: "submit" }, "Show"));
  const grid = makeGrid("Pairs"), foot = el("div", { class: "more" });
  fill(view, el("h1", {}, chosen.label, el("small", {}, chosen.pairs == null ? "" : number(chosen.pairs))), form, head, grid, foot);
  let running = new AbortController();
  async function load(after) {
    running.abort();
    running = new AbortController();
    const mine = running;
    grid.setAttribute("aria-busy", "true");
    fill(foot, "Looking …");
    try {
      const found = await ask("pairs", { ...now, set: chosen.name, after, num: 60 }, mine.signal);
      if (mine.signal.aborted) return;
      grid.take(found.rows, chosen.name);
      const num = grid.children.length, looked = found.of ? `${number(Math.min(found.looked, found.of))} of ${number(found.of)} looked at` : "";
      fill(foot, num ? several(num, "pair") : "No such pair", found.following ? ` so far; ${looked}.` : num ? ", all of them." : ".",
        found.following ? el("button", { type: "button", class: "button", id: "more", on: { click: () => load(found.following) } }, "More") : null);
      say(`${several(num, "pair")} shown${found.following ? ", there are more" : ""}`);
    } catch (error) { if (error.name !== "AbortError") fill(foot, problem(error)); }
    grid.removeAttribute("aria-busy");
  }
  function go(again) {
    remember("pairs", now);
    if (again) return route();
    grid.replaceChildren();
    showEntry();
    load(null);
  }
  async function showEntry() {
    fill(head);
    if (!now.entry || !now.lang) return;
    const lang = now.lang, id = now.entry;
    fill(head, "With the entry ", entryLink(lang, id, `number ${id}`), ` of ${nameOf(lang)}. `,
      el("button", { type: "button", class: "button", on: { click: () => { set("entry", ""); go(true); } } }, "All entries"));
  }
  showEntry();
  await load(null);
  if (asked.open) openPair(chosen.name, asked.open);
}

// ---- Retract ----
function retractView(view) {
  title("Retract");
  const ids = [...marked.keys()];
  const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  // Tars, Parquet and a set alone are no workspace: where they were matched, nobody here knows.
  const isHere = about.kind === "workspace", command = `curate retract retract.txt -w ${isHere ? quote(about.workspace) : "WORKSPACE"}`;
  const save = () => {
    const link = el("a", { href: URL.createObjectURL(new Blob([`${ids.join("\n")}\n`], { type: "text/plain" })), download: "retract.txt" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  };
  fill(view, el("h1", {}, "Retract", el("small", {}, several(ids.length, "pair"))),
    el("p", { class: "note" }, "Mark pairs where they are shown (the key m). This page changes nothing: save the list, look at it, and run the command." + (isHere ? "" : " WORKSPACE is the one that these pairs were matched in.")),
    ids.length ? [
      el("div", { class: "actions" }, el("button", { type: "button", class: "button strong", id: "save-list", on: { click: save } }, "Save retract.txt"),
        el("button", { type: "button", class: "button", on: { click: () => { marked.clear(); marksChanged(); retractView(view); } } }, "Forget the marks")),
      el("h2", {}, "The command"), el("div", { class: "panel" }, el("pre", { id: "retract-command", tabindex: "0" }, quoted(command))),
      el("h2", {}, "The list"), table(["Id", el("th", { scope: "col", class: "text" }, "Text"), ""], ids.map((id) => [el("span", { class: "hash" }, quoted(id)), el("span", { dir: "auto" }, quoted(marked.get(id).text)),
        el("button", { type: "button", class: "button", "aria-label": `Take ${id} off the list`, on: { click: () => { marked.delete(id); marksChanged(); retractView(view); } } }, "Off")]), { "aria-label": "Marked pairs" }),
    ] : el("p", {}, "No pair is marked."));
}
