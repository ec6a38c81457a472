"""The data card's page in a browser: Debian's chromium, through Playwright."""

import json
import shutil

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.page import render_page
from curate.pipelines.opt_outs.signals import SOURCES
from examples.bench.stored.matched import write_matched
from tests.pipelines.browse.world import write_world
from tests.pipelines.card.test_card import HOSTILE, card_of, write_workspace

pytestmark = pytest.mark.slow


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
    folder = write_workspace(tmp_path_factory.mktemp("page"))
    classes = folder / "classes.txt"
    classes.write_text("dog\nquokka\ncat\n<b>bold</b>\n", "utf-8")
    card_of(folder, classes=str(classes))
    return folder


@pytest.fixture
def show(browser):
    """Open a page; at the end nothing was logged, asked for, or run from a text."""
    contexts = []

    def opened(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        seen = []
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: seen.append(request.url))
        page.goto((path / "balanced/datacard.html").as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        contexts.append((context, page, seen))
        return page

    yield opened
    for context, page, seen in contexts:
        assert len(seen) == 1 and seen[0] == page.url, seen
        context.close()


def card_in(folder):
    return json.loads((folder / "balanced/datacard.json").read_text("utf-8"))


def column(page, table, number):
    cells = page.locator(f"#{table} tbody tr > :nth-child({number})")
    return cells.all_inner_texts()


def numbers(cells):
    return [float(cell.replace(",", "")) for cell in cells]


def test_the_points_of_the_curves_are_those_of_the_json(workspace, show):
    page, card = show(workspace), card_in(workspace)
    for lang, height, axis in (("", "matches", "linear"), ("en", "matches", "log"),
                               ("de", "share", "linear")):  # fmt: skip
        page.select_option("#language", lang)
        page.locator(f"input[value={axis}]").check(force=True)
        page.locator(f"input[value={height}]").check(force=True)
        curve = (card["languages"][lang] if lang else card["total"])["curve"]
        scale = page.evaluate("({...document.querySelector('#curve-plot svg').dataset})")
        assert scale.pop("axis") == axis
        scale = {name: float(value) for name, value in scale.items()}
        for name, kind in (("matches", "before"), ("slots", "slots"), ("kept", "kept")):
            path = page.locator(f"#line-{kind}").get_attribute("d")
            x, y = np.array([p.split() for p in path[1:].split("L")], float).T
            along = (x - scale["left"]) / (scale["right"] - scale["left"])
            wanted = np.array(curve["entries"]) / scale["entries"]
            if axis == "log":
                rest = np.log1p(scale["entries"] - np.array(curve["entries"]))
                wanted = 1 - rest / np.log1p(scale["entries"])
            values = (scale["bottom"] - y) / (scale["bottom"] - scale["top"]) * scale["height"]
            expected = np.array(curve[name], float)
            if height == "share":
                expected /= expected[-1]
            # Coordinates are rounded to a hundredth of a pixel, on at least 300 pixels.
            assert np.abs(along - wanted).max() <= 0.006 / 300
            assert np.abs(values - expected).max() <= scale["height"] * 0.005 / 300


def test_tables_sort_by_click_and_by_key_and_languages_are_found(workspace, show):
    page = show(workspace)
    read = page.locator("#language-table [data-key=read]")
    for _ in range(2):
        read.click()
        state = page.locator("#language-table th:has([data-key=read])").get_attribute("aria-sort")
        cells = numbers(column(page, "language-table", 4))
        assert cells == sorted(cells, reverse=state == "descending") and len(set(cells)) > 2
    assert state == "ascending"
    page.locator("#language-table [data-key=language]").focus()
    page.keyboard.press("Enter")
    assert "–" in column(page, "language-table", 8)  # kept of matched, where nothing matched
    assert "NaN" not in page.inner_text("main")
    names = column(page, "language-table", 1)
    assert names == sorted(names, key=str.lower) and names[0] != names[-1]
    assert page.evaluate("document.activeElement.dataset.key") == "language"
    page.locator("#class-table [data-key=class]").click()
    shown = column(page, "class-table", 1)
    assert sorted(shown) == sorted(["<b>bold</b>", "cat", "dog", "quokka"])
    assert shown.index("cat") < shown.index("dog") < shown.index("quokka")
    page.fill("#find-language", "deut")
    assert column(page, "language-table", 1) == ["GermanDeutsch"]


def test_all_is_done_by_keyboard(workspace, show):
    page, card = show(workspace), card_in(workspace)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(
            "document.activeElement.id || document.activeElement.dataset.key || ''"))  # fmt: skip
    assert {"language", "theme", "curve-cursor", "find-language", "read", "kl_after_bits",
            "lang-en", "command", "copy"} <= reached  # fmt: skip
    page.focus("#curve-cursor")
    page.keyboard.press("Home")
    first = page.inner_text("#curve-readout")
    page.keyboard.press("End")
    last = page.inner_text("#curve-readout")
    assert first.startswith("The 0 rarest") and f"{card['total']['matches']:,} (100.0%)" in last
    page.focus("[data-key=lang-de]")
    page.keyboard.press("Enter")
    assert page.inner_text("#headline") == f"{card['languages']['de']['kept']:,} pairs kept"
    assert page.input_value("#language") == "de"


def test_figures_stand_on_the_page(workspace, show):
    page, card = show(workspace), card_in(workspace)
    total = card["total"]
    flow = page.locator("#flow-figure svg").text_content()
    for num in (total["read"], total["matched"], total["kept"], total["not_sampled"],
                *total["dropped"].values()):  # fmt: skip
        assert f"{num:,}" in flow
    parts = [numbers(column(page, "parts", n)) for n in (2, 3, 5, 6)]
    for at, name in enumerate(("head", "tail")):
        found = [part[at] for part in parts]
        assert found == [total[name][k] for k in ("entries", "matches", "slots", "kept")]
    for table, name in (("head", "top_entries"), ("tail", "tail_entries")):
        shown = list(zip(*(numbers(column(page, table, n)) for n in (2, 3, 4)), strict=True))
        rows = [(e["count"], e["slots"], e["kept"]) for e in total[name]]
        assert shown == [row for row in rows if table == "tail" or row[0] >= card["t"]] != []
    assert page.locator("#before li").count() == len(total["top_entries"])
    assert page.locator("#after li").count() == len(total["top_entries_after"])
    assert page.inner_text("#command") == card["command"]
    assert all(v in page.inner_text("#facts") for v in (card["metadata_hash"], card["matched"]))


def test_hostile_texts_are_quoted_and_do_nothing(tmp_path, show):
    page = show(write_workspace(tmp_path, english=HOSTILE))
    page.select_option("#language", "en")
    text = page.inner_text("#example-lists")
    assert "</script><script>window.hacked = 1</script>" in text and "<img src=x" in text
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script").count() == 0
    escapes = page.locator("#example-lists .esc").all_inner_texts()
    assert set(escapes) == {"\\x1b", "\\u202e"}
    assert "\u202e" not in page.content().split('id="data"')[0]


def test_texts_run_from_right_to_left_where_their_script_does(tmp_path, show):
    page = show(write_workspace(tmp_path, english=["كلب dog", "a dog"]))
    page.select_option("#language", "en")
    directions = {
        quote.inner_text(): quote.evaluate("node => getComputedStyle(node).direction")
        for quote in page.locator(".quote").all()
    }
    assert directions["كلب dog"] == "rtl" and directions["a dog"] == "ltr"


def test_light_dark_and_phone(workspace, show):
    body = "getComputedStyle(document.body).backgroundColor"
    lights = {}
    for scheme in ("light", "dark"):
        for width in (1280, 390, 320):
            page = show(workspace, color_scheme=scheme, viewport={"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
        before = page.evaluate(body)
        lights[scheme] = int(before.removeprefix("rgb(").split(",")[0])
        page.click("#theme")
        assert page.evaluate(body) != before
    assert lights["dark"] < 60 < 200 < lights["light"]


def test_how_sites_said_no_stands_on_the_page_and_that_nothing_is_known(workspace, tmp_path, show):
    assert "Nothing is known" in show(workspace).inner_text("#signals")
    card = card_in(workspace)
    card["opt_outs"] = {"pairs": {"deny: meta robots noai": 12, "deny: </b>": 3, "ignored": 15},
                        "sources": SOURCES}  # fmt: skip
    said = {"deny: tdm-reservation": 4, "allow: robots.txt": 70}
    card["downloaded"] = {"pairs": 90, "images": 80, "failed": {"opted_out": 4}, "opt_outs": said}
    (tmp_path / "balanced").mkdir()
    (tmp_path / "balanced/datacard.html").write_text(render_page(card), "utf-8")
    text = show(tmp_path).inner_text("#signals")
    assert "15 pairs were taken although their page says no" in text
    assert "4 pairs were left out because their server says no." in text
    for words in ("deny: </b>", "Images were asked for by 90 pairs; 80 came.", "RFC 9309"):
        assert words in text
    page = show(tmp_path, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#links, .links a[href='#signals']").count() == 1


def test_a_page_of_all_languages_stays_small(tmp_path, show):
    matched = write_matched(tmp_path, 330, 60_000, 60_000)
    balance_pairs(matched=str(matched), output=str(tmp_path / "balanced"),
                  options=BalanceOptions(t=40), quiet=True)  # fmt: skip
    card = card_in(tmp_path)
    assert len(card["languages"]) > 300
    assert (tmp_path / "balanced/datacard.html").stat().st_size < 2_000_000
    page = show(tmp_path)
    assert page.locator("#language-table tbody tr").count() == len(card["languages"])
    page.locator("#language-table [data-key=kept]").click()
    cells = numbers(column(page, "language-table", 6))
    assert cells == sorted(cells, reverse=True)


def test_texts_domains_columns_and_images_stand_on_the_page(tmp_path, show):
    folder = write_world(tmp_path, num=60)
    card = card_of(folder, by=("license",), date="2026-11-29")
    page = show(folder)
    assert page.locator("#language-bars > div").count() == 4
    assert "2026-11-29" in page.inner_text(".eyebrow")
    shown = page.inner_text("#texts")
    domains = [one["domain"] for one in card["content"]["domains"]]
    assert domains and all(domain in shown for domain in domains)
    assert numbers(column(page, "column-lists", 2)) == [30, 30]
    assert "the input's column 60" in page.inner_text("#decided")
    images = page.locator("#example-lists img")
    assert images.count() >= 8
    assert all(images.evaluate_all("all => all.map((one) => one.naturalWidth === 112)"))
    page.select_option("#language", "ja")
    assert 0 < page.locator("#example-lists .kept img").count() <= 8


@pytest.mark.parametrize(("share", "scale"), [(20, "log"), (5, "linear")])
def test_the_curve_opens_in_the_scale_that_shows_it(workspace, tmp_path, show, share, scale):
    card = card_in(workspace)
    card["total"]["entries_head"] = card["total"]["entries"] // share
    (tmp_path / "balanced").mkdir()
    (tmp_path / "balanced/datacard.html").write_text(render_page(card), "utf-8")
    page = show(tmp_path)
    assert page.locator(f"input[value={scale}]").is_checked()
    assert page.locator("#curve-plot svg").get_attribute("data-axis") == scale
