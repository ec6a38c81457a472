// ---- Together ----
const problem = (error) => el("div", { class: "error", role: "alert" }, quoted(error.message));
const PAGES = () => [["", "Overview", true], ["entries", "Entries", about.has_entries], ["pairs", "Pairs", about.sets.length > 0], ["what-if", "What if", about.has_index],
  ["why", "Why", about.has_metadata], ["retract", `Retract${marked.size ? ` (${marked.size})` : ""}`, about.sets.length > 0], ["run", "Run", about.has_run]].filter(([, , is]) => is);
function renderLinks() {
  const at = here().path[0] || (about.has_run ? "run" : "");
  fill($("links"), PAGES().map(([path, name]) => el("a", { href: address(path), "aria-current": path === at || (path === "entries" && at === "entry") ? "page" : null }, name)));
  const current = $("links").querySelector("[aria-current]"); // on a narrow phone it may be out of sight
  if (current) $("links").scrollLeft = current.offsetLeft - ($("links").clientWidth - current.offsetWidth) / 2;
}
let turn = 0;
async function route(event) {
  const mine = ++turn, { path, asked } = here(), view = $("view");
  delete document.documentElement.dataset.ready;
  $("notice").querySelector("#reload") || fill($("notice"));
  for (const box of document.querySelectorAll("dialog[open]")) box.close();
  renderLinks();
  fill(view, el("p", { class: "wait" }, "…"));
  try {
    const [name, one, two] = path;
    if (!name) await (about.has_run ? runView(view) : overviewView(view));
    else if (name === "entries") await entriesView(view, asked);
    else if (name === "entry") await entryView(view, one, two);
    else if (name === "pairs") await pairsView(view, asked);
    else if (name === "what-if") await whatIfView(view, asked);
    else if (name === "why") await whyView(view, asked);
    else if (name === "retract") retractView(view);
    else if (name === "run") await runView(view);
    else fill(view, el("p", {}, "There is nothing at this address."));
  } catch (error) {
    if (mine === turn) fill(view, problem(error));
  }
  if (mine !== turn) return;
  if (event) { scrollTo(0, 0); view.focus({ preventScroll: true }); }
  document.documentElement.dataset.ready = "yes";
}
function showKeys() {
  const box = $("keys");
  const keys = [["/", "to what is searched"], ["g e", "entries"], ["g p", "pairs"], ["g w", "what if"], ["g y", "why"], ["← ↑ → ↓", "from pair to pair"], ["Enter", "open a pair"], ["m", "mark a pair to be retracted"], ["Esc", "close"], ["?", "this list"]];
  fill(box, el("div", { class: "inside" }, el("h2", { id: "keys-title" }, "Keys", closeButton(box)), el("dl", { class: "facts" }, keys.map(([key, what]) => [el("dt", {}, key.split(" ").map((k) => [el("kbd", {}, k), " "])), el("dd", {}, what)]))));
  box.showModal();
}
let before = "";
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const pages = { e: "entries", p: "pairs", w: "what-if", y: "why", r: "retract", o: "" };
  if (before === "g" && event.key in pages) { location.hash = address(pages[event.key]); before = ""; return; }
  before = event.key;
  if (event.key === "/") { const field = document.querySelector("#view input[type=search], #view textarea"); if (field) { event.preventDefault(); field.focus(); } else location.hash = address("entries"); }
  else if (event.key === "?") showKeys();
});
$("help").addEventListener("click", showKeys);
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
$("pair").addEventListener("close", () => {
  const { path, asked } = here();
  if (path[0] === "pairs" && asked.open) { const { open, ...rest } = asked; remember("pairs", rest); }
  document.querySelector('.card[tabindex="0"]')?.focus();
});
addEventListener("hashchange", route);
(async () => {
  try {
    about = await ask("about");
    $("place").textContent = about.name;
    await route();
  } catch (error) {
    fill($("view"), problem(error));
    document.documentElement.dataset.ready = "yes";
  }
})();
