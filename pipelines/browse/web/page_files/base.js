"use strict";
// The page of `curate browse`. Texts of strangers are only ever set as text nodes.
const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const number = (v) => (v == null ? "–" : whole.format(v));
const brief = (v) => (Math.abs(v) < 10000 ? whole.format(v) : short.format(v));
const percent = (v) => (v == null || !Number.isFinite(v) ? "–" : v && v < 0.001 ? "<0.1%" : `${(100 * v).toFixed(1)}%`);
const digits = (v, n = 4) => (v == null ? "–" : String(+v.toPrecision(n)));
const words = (name) => name.replaceAll("_", " ");
const several = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

// ---- Elements ----
function add(node, children) {
  for (const child of children.flat(4)) if (child != null && child !== false) node.append(child);
  return node;
}
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
    else if (value === true) node.setAttribute(name, "");
    else if (value != null && value !== false) node.setAttribute(name, value);
  }
  return add(node, children);
}
function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return add(node, children);
}
const fill = (node, ...children) => { node.replaceChildren(); return add(node, children); };
// What moves, hides or ends text stands as an escape; joiners that words need stay.
const HIDDEN = /([\p{C}\p{Zl}\p{Zp}])/u;
function quoted(text) {
  return String(text).split(HIDDEN).filter(Boolean).map((part) => {
    if (!HIDDEN.test(part) || part === "\u200c" || part === "\u200d") return part;
    const code = part.codePointAt(0);
    const shown = code < 256 ? `\\x${code.toString(16).padStart(2, "0")}`
      : code < 65536 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
    return el("span", { class: "esc" }, shown);
  });
}
const bdi = (text) => el("bdi", {}, quoted(text));
const say = (text) => { $("said").textContent = text; };
const title = (text) => { document.title = `${text} · curate browse`; };

// ---- The server ----
let about = null;
class Refused extends Error {
  constructor(status, body) { super(body.error || `the server says ${status}`); this.status = status; this.body = body; }
}
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function ask(name, asked = {}, signal) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, v]) => v != null && v !== ""));
  if (about && name !== "about") query.set("state", about.state);
  for (;;) {
    let answer;
    try {
      answer = await fetch(`api/${name}?${query}`, { signal, redirect: "error" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, { error: "The server does not answer. Is `curate browse` still running?" });
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return body;
    if (answer.status === 503 && body.busy) {
      fill($("notice"), `The workspace was changed; its index is made anew: ${body.busy}, ${percent(body.share)}.`);
      await pause(700);
      continue;
    }
    if (body.changed) stale();
    throw new Refused(answer.status, body);
  }
}
function stale() {
  fill($("notice"), "The workspace was changed, by a match, a retraction or a new balanced set. What stands here is of before.",
    el("button", { type: "button", class: "button", id: "reload", on: { click: () => location.reload() } }, "Load it anew"));
}
const imageOf = (pair, set, size) => `image/${about.state}/${set}/${pair.at}?size=${size}`;

// ---- Addresses: each state of the page has one ----
function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean), asked: Object.fromEntries(new URLSearchParams(query || "")) };
}
function address(path, asked = {}) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, v]) => v != null && v !== ""));
  return `#/${path}${query.size ? `?${query}` : ""}`;
}
// Changes the address without a new page: what is typed is kept, and Back leads to before.
function remember(path, asked) { history.replaceState(null, "", address(path, asked)); }
const nameOf = (lang) => (about.languages.find((one) => one.lang === lang) || { name: lang }).name;
const entryLink = (lang, id, entry, ...more) => el("a", { href: address(`entry/${lang}/${id}`) }, bdi(entry), more);

function languagePick(id, chosen, change, all = "All languages") {
  const known = [...about.languages].sort((a, b) => (b.pairs || 0) - (a.pairs || 0));
  return el("select", { id, on: { change: (event) => change(event.target.value) } },
    el("option", { value: "" }, all),
    known.map((one) => el("option", { value: one.lang, selected: one.lang === chosen }, `${one.name} (${one.lang})`)));
}
function table(head, rows, attributes = {}) {
  return el("div", { class: "panel scroll", tabindex: "0", role: "region", "aria-label": attributes["aria-label"] || "Table" },
    el("table", attributes, el("thead", {}, el("tr", {}, head.map((cell) => (cell instanceof Node && cell.tagName === "TH" ? cell : el("th", { scope: "col" }, cell))))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) => (i ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))))));
}
const tiles = (list) => el("dl", { class: "tiles" }, list.filter(Boolean).map(([name, value, note]) =>
  el("div", {}, el("dt", {}, name), el("dd", {}, value), note ? el("small", {}, note) : null)));
