"""The page of `curate browse` in a browser: Debian's chromium, through Playwright."""

import json
import re
import shutil
import tarfile
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

import curate
from curate.pipelines.browse.web import opening
from curate.pipelines.match import enter_drops
from curate.pipelines.retract import retract_pairs
from curate.pipelines.store import artifacts
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.browse.world import picture, write_world
from tests.pipelines.card.test_card import HOSTILE
from tests.pipelines.helpers import read_pairs
from tests.pipelines.tar_helpers import write_tar

pytestmark = pytest.mark.slow

EVIL = "javascript:alert(1)//http://x"
MORE = [
    {"key": f"x{at}", "lang": "en", "txt": f"moon above the sea {text}", "url": url,
     "image": picture("red", "moon") if at != 1 else b"\xff\xd8\xff no image"}
    for at, (text, url) in enumerate(zip(HOSTILE, (EVIL, "data:text/html,<script>alert(1)</script>",
                                                   "https://a.example/<script>"), strict=True))
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium; install Debian's package of that name")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("page"), num=160, more=MORE)


@pytest.fixture(scope="module")
def served(workspace):
    with curate.browse(workspace=workspace, quiet=True) as found:
        yield found


@pytest.fixture
def show(browser, served):
    """Open the page at a place; at the end no other host was asked and nothing was logged."""
    contexts = []

    def opened(place="", address=served.address, expected=(), **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        seen, asked = [], []
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}#/{place}")
        ready(page)
        contexts.append((context, address, seen, asked, expected))
        return page

    yield opened
    for context, address, seen, asked, expected in contexts:
        assert all(url.startswith((address, f"blob:http://{urlsplit(address).netloc}"))
                   for url in asked), asked  # fmt: skip
        left = [text for text in seen if not any(re.search(one, text) for one in expected)]
        assert left == []
        context.close()


def ready(page):
    page.wait_for_selector("html[data-ready=yes]")


def turn_to(page, place):
    """Go to another place in a page that is open; it is drawn anew, in the width it has now."""
    page.evaluate(
        "place => { delete document.documentElement.dataset.ready; location.hash = `#/${place}`; }",
        place,
    )
    ready(page)


def until(page, expression):
    """Wait for a condition; the page's policy lets nothing be compiled in it that waits itself."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def first_column(page, table):
    return page.locator(f"#{table} tbody tr > :first-child").all_inner_texts()


def test_entries_are_found_while_one_types_and_an_entry_opens(show):
    page = show("entries")
    page.fill("#find-entry", "SEA")
    until(page, "document.querySelectorAll('#entry-table tbody tr').length === 2")
    assert first_column(page, "entry-table") == ["above the sea", "sea"]
    assert "q=SEA" in page.url
    page.reload()
    ready(page)
    assert page.input_value("#find-entry") == "SEA"
    assert first_column(page, "entry-table") == ["above the sea", "sea"]
    page.click("#entry-table a >> nth=1")
    page.wait_for_selector("h1:has-text('sea')")
    ready(page)
    counts = page.locator(".tiles dd").all_inner_texts()
    assert counts[0].isdigit() and page.locator(".card").count() == 12
    page.go_back()
    ready(page)
    assert page.input_value("#find-entry") == "SEA"


def test_the_table_of_entries_sorts_by_its_heads(show):
    page = show("entries?lang=en")
    for key, column in (("kept", 6), ("slots", 5), ("count", 4)):
        page.click(f"[data-sort={key}]")
        page.wait_for_selector(f"th[aria-sort=descending] [data-sort={key}]")
        cells = page.locator(f"#entry-table tbody tr > :nth-child({column})").all_inner_texts()
        values = [int(cell.replace(",", "")) for cell in cells]
        assert values == sorted(values, reverse=True) and values[0] > values[-1]
        assert page.evaluate("document.activeElement.dataset.sort") == key


def test_pairs_are_filtered_and_each_state_has_its_address(show, workspace):
    kept = set(read_pairs_of_shards(workspace))
    rows = [r for r in read_pairs(workspace / "matched").to_pylist() if r["lang"] == "en"]
    page = show("pairs")
    page.select_option("#pairs-language", "en")
    page.select_option("[name=fate]", "not_sampled")
    page.fill("[name=text]", "circle")
    page.press("[name=text]", "Enter")
    wanted = [r["pair_id"] for r in rows if "circle" in r["text"] and r["pair_id"] not in kept]
    until(page, f"document.querySelectorAll('.card').length === {len(wanted)}")
    assert page.locator(".card").evaluate_all("all => all.map(one => one.dataset.id)") == wanted
    assert wanted and set(page.locator(".card .tag").all_inner_texts()) == {"not sampled"}
    other = show(page.url.partition("#/")[2])
    assert other.locator(".card").count() == len(wanted)
    assert other.input_value("[name=text]") == "circle"
    until(page, "[...document.querySelectorAll('.thumb img')].every(i => i.naturalWidth)")


def read_pairs_of_shards(workspace):
    for path in sorted((workspace / "balanced/shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    about = json.loads(tar.extractfile(member).read())
                    yield about.get("pair_id", member.name.removesuffix(".json"))


def test_the_slider_says_what_yield_says(show, workspace):
    page = show("what-if?t=3")
    checked = {}
    for place in (0, 250, 500, 800, 1000):
        page.locator("#t-slider").evaluate(
            "(node, to) => { node.value = to; node.dispatchEvent(new Event('input')); }", place
        )
        t = int(page.input_value("#t-box"))
        until(page, f"document.documentElement.dataset.shown === '{t}'")
        checked[t] = (
            page.inner_text("#what-kept"),
            page.locator("#what-table tbody tr").evaluate_all(
                "rows => rows.map(row => [row.querySelector('input').dataset.lang,"
                " row.children[2].textContent])"
            ),
        )
    grid = ",".join(map(str, checked))
    found = measure_yields(matched=str(workspace / "matched"), grid=grid, quiet=True)
    assert len(found["yields"]) == len(checked) > 3
    for row in found["yields"]:
        kept, languages = checked[row["t"]]
        assert int(kept.replace(",", "")) == row["kept"]
        assert {lang: int(n.replace(",", "")) for lang, n in languages} == {
            lang: one["kept"] for lang, one in row["languages"].items()
        }
    before = page.locator(".line.kept").first.get_attribute("d")
    page.fill("[data-lang=en]", "2")
    until(page, "document.querySelector('.line.kept').getAttribute('d') !== "
                           f"{before!r}")  # fmt: skip
    both = measure_yields(matched=str(workspace / "matched"), grid=f"2,{max(checked)}", quiet=True)
    small, large = (row["languages"] for row in both["yields"])
    total = sum(one["kept"] for lang, one in large.items() if lang != "en") + small["en"]["kept"]
    assert page.inner_text("#what-kept") == f"{total:,}" and "t.en=2" in page.url


def test_a_text_is_explained(show):
    page = show("why")
    page.fill("#why-text", "a red circle above the sea")
    page.select_option("#why-language", "en")
    page.click("button:has-text('Explain')")
    page.wait_for_selector("#why-answer h2:has-text('Decision')")
    text = page.inner_text("#why-answer")
    assert "kept with probability" in text and "metaclip" in text and "standard" in text
    assert set(page.locator("#why-answer mark").all_inner_texts()) >= {"red", "circle"}


def test_pairs_that_are_marked_make_a_list_and_a_command(show, workspace, tmp_path):
    page = show("pairs?lang=de")
    page.locator(".card").first.focus()
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("m")
    ids = page.locator(".card.marked").evaluate_all("all => all.map(one => one.dataset.id)")
    page.click("#links a:has-text('Retract (2)')")
    ready(page)
    with page.expect_download() as download:
        page.click("#save-list")
    listing = tmp_path / download.value.suggested_filename
    download.value.save_as(listing)
    assert listing.read_text().split() == ids and len(ids) == 2
    command = page.inner_text("#retract-command")
    assert command == f"curate retract retract.txt -w {workspace}"
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy)
    shutil.rmtree(copy / "in")
    shutil.rmtree(copy / "balanced")
    found = retract_pairs(str(listing), matched=str(copy / "matched"),
                          metadata=str(copy / "metadata"), balanced=[], workspace=str(copy),
                          quiet=True)  # fmt: skip
    assert found["removed"] == 2


def test_all_is_done_by_keyboard(show):
    page = show("")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_selector(".card")
    ready(page)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    page.keyboard.type("triangle")
    page.keyboard.press("Enter")
    until(
        page,
        "[...document.querySelectorAll('.card')].every(c => c.innerText.includes('triangle'))"
        " && document.querySelectorAll('.card').length > 5",
    )
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('card')"):
            break
    at = page.evaluate("document.activeElement.dataset.at")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.dataset.at") == at
    page.keyboard.press("End")
    assert page.evaluate(
        "document.activeElement === [...document.querySelectorAll('.card')].at(-1)"
    )
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] .facts")
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    assert f"open={at}" in page.url
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.dataset.at") == at
    until(page, "!location.href.includes('open=')")  # the dialog says later that it was closed
    page.keyboard.press("?")
    assert page.locator("#keys[open]").count() == 1


def test_everything_that_acts_has_a_name(show):
    for place in ("", "entries", "pairs", "pairs?open=0.1", "what-if", "why", "retract"):
        page = show(place)
        if "open" in place:
            page.wait_for_selector("dialog[open] .facts")
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll(`button, a[href], input, select, textarea,
            [role=region], dialog[open], [role=button], svg[role=img]`)].filter((node) => !(
            node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()
            || document.getElementById(node.getAttribute("aria-labelledby"))))
            .map((node) => node.outerHTML)"""
        )
        assert unnamed == [], place
        assert page.locator("h1").count() == 1 or "open" in place


def test_hostile_texts_and_addresses_do_nothing(show):
    page = show("pairs?text=moon+above+the+sea+a+dog", expected=["404"])
    assert page.locator(".card").count() == 3
    text = page.inner_text(".grid")
    assert "</script><script>window.hacked = 1</script>" in text and "<img src=x" in text
    assert page.locator("#view script, .quote img").count() == 0
    assert set(page.locator(".grid .esc").all_inner_texts()) == {"\\x1b", "\\u202e"}
    page.wait_for_selector(".thumb.failed")
    assert "cannot be shown" in page.inner_text(".thumb.failed")
    for at in range(3):
        page.locator(".card").nth(at).click()
        page.wait_for_selector("dialog[open] .facts")
        links = page.locator("dialog .facts a").evaluate_all("all => all.map(one => one.href)")
        assert links == (["https://a.example/%3Cscript%3E"] if at == 2 else [])
        assert page.locator("dialog .facts a[rel~=noopener][rel~=noreferrer]").count() == len(links)
        page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None


def test_texts_run_from_right_to_left_where_their_script_does(show):
    page = show("pairs?lang=ar")
    cards = page.locator(".card .quote")
    assert cards.first.evaluate("node => getComputedStyle(node).direction") == "rtl"
    assert page.locator(".card mark").count() > 3
    page = show("pairs?lang=en")
    assert page.locator(".card .quote").first.evaluate(
        "node => getComputedStyle(node).direction") == "ltr"  # fmt: skip


# Of the page's own head, those that are not within its sight; of narrow ones the current page is.
_HIDDEN_LINKS = """() => [...document.querySelectorAll("#links a")].filter((link) => {
  const at = link.getBoundingClientRect();
  return at.left < 0 || at.right > innerWidth;
}).map((link) => link.textContent)"""


def test_the_current_page_is_in_sight_in_the_head_of_a_narrow_phone(show):
    for place, name in (("", "Overview"), ("why", "Why"), ("retract", "Retract")):
        page = show(place, viewport={"width": 320, "height": 700})
        assert page.locator("#links [aria-current]").inner_text() == name
        assert name not in page.evaluate(_HIDDEN_LINKS)


def test_light_dark_and_phone(show):
    body = "getComputedStyle(document.body).backgroundColor"
    lights = {}
    for scheme in ("light", "dark"):
        for width in (1280, 390, 320):
            page = show("retract", color_scheme=scheme, viewport={"width": width, "height": 800})
            for place in ("", "entries", "pairs", "pairs?open=0.1", "what-if", "why", "entry/en/3"):
                turn_to(page, place)
                assert page.evaluate("document.documentElement.scrollWidth") == width, place
                assert page.evaluate(_HIDDEN_LINKS) == [] or width == 320, place
        before = page.evaluate(body)
        lights[scheme] = int(before.removeprefix("rgb(").split(",")[0])
        page.click("#theme")
        assert page.evaluate(body) != before
    assert lights["dark"] < 60 < 200 < lights["light"]


def test_a_workspace_that_changes_is_told_and_loaded_anew(show, tmp_path):
    folder = write_world(tmp_path / "w", num=60)
    with curate.browse(workspace=folder, quiet=True) as found:
        page = show("pairs?lang=en", address=found.address, expected=["404", "409", "503"])
        first = page.locator(".card").first.get_attribute("data-id")
        shutil.rmtree(folder / "in")
        shutil.rmtree(folder / "balanced")
        (folder / "list.txt").write_text(first)
        retract_pairs(
            str(folder / "list.txt"), matched=str(folder / "matched"), balanced=[],
            metadata=str(folder / "metadata"), workspace=str(folder), quiet=True,
        )  # fmt: skip
        page.fill("[name=text]", "sea")
        page.press("[name=text]", "Enter")
        page.wait_for_selector("#reload")
        page.click("#reload")
        page.wait_for_selector(".card")
        assert first not in page.locator(".card").evaluate_all(
            "all => all.map(one => one.dataset.id)")  # fmt: skip


def test_a_server_that_ended_is_told(show, tmp_path):
    folder = write_world(tmp_path / "w", num=24)
    found = curate.browse(workspace=folder, quiet=True)
    page = show("entries", address=found.address, expected=["Failed to load resource"])
    found.close()
    page.fill("#find-entry", "sea")
    page.wait_for_selector(".error")
    assert "still running" in page.inner_text(".error")


def test_a_run_and_a_folder_of_tars_have_their_pages(show, workspace, tmp_path):
    with curate.browse(workspace / "balanced/shards", quiet=True) as found:
        page = show("pairs?column=license&is=cc0", address=found.address)
        assert page.locator(".card").count() > 5
        assert page.locator("#links a").all_inner_texts() == ["Overview", "Pairs", "Retract"]
        page.locator(".card").first.focus()
        page.keyboard.press("m")
        page.get_by_role("link", name="Retract (1)").click()
        command = page.locator("#retract-command")  # shards are no workspace that could be named
        assert command.inner_text() == "curate retract retract.txt -w WORKSPACE"


def test_what_cannot_be_read_is_named_below_the_pairs_and_more_goes_on(show, tmp_path):
    for number, name in enumerate("ac"):
        write_tar(tmp_path / f"{name}.tar", {f"{number}-{at}.txt": "a dog" for at in range(50)})
    (tmp_path / "b.tar").write_bytes(b"x" * 5000)
    with curate.browse(tmp_path, quiet=True) as found:
        page = show("pairs", found.address)
        until(page, "document.querySelectorAll('.card').length === 60")
        (told,) = page.locator("#unread li").all_inner_texts()
        assert "b.tar: it holds no samples (" in told and page.locator("#unread").is_visible()
        page.click("#more")
        until(page, "document.querySelectorAll('.card').length === 100")
        assert page.locator("#unread li").count() == 1
        page.fill("#find-text", "cat")
        page.press("#find-text", "Enter")
        until(page, "document.querySelectorAll('.card').length === 0")
        until(page, "document.querySelectorAll('#unread li').length === 1")


def test_the_file_that_open_gives_a_browser_leads_to_the_page(browser, served, monkeypatch):
    asked = []
    monkeypatch.setattr(opening.webbrowser, "open", lambda url: asked.append(url) or True)
    with opening.shown_in_browser(served.address):
        page = browser.new_page()
        page.goto(asked[0])
        page.wait_for_url(lambda url: url.startswith(served.address))
        ready(page)
        page.close()


def test_dropped_pairs_are_chosen_and_say_why(show, tmp_path):
    folder = write_world(tmp_path, num=24)
    ids = read_pairs(folder / "matched")["pair_id"].to_pylist()[:3]
    listed = artifacts.strings(ids), artifacts.strings(["clip_score"] * 3)
    enter_drops(str(folder / "matched"), "scores", [listed], quiet=True)
    with curate.browse(workspace=folder, quiet=True) as found:
        page = show("pairs", found.address)
        page.select_option("select[name=fate]", "dropped")
        until(page, "document.querySelectorAll('.card').length === 3")
        assert page.locator(".card .tag").all_inner_texts() == ["dropped"] * 3
        page.click(".card >> nth=0")
        page.wait_for_selector("dialog[open] .facts")
        facts = page.locator("dialog[open] .facts").inner_text()
        assert "Dropped\nclip_score" in facts and "Decision" not in facts
