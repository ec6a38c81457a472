"""What a card says beside entries: texts, domains, copies, columns, images, all entries."""

import csv
import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from curate.errors import UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card import stage
from curate.pipelines.card.page import render_page
from curate.pipelines.matched.facts import ContentNote
from tests.pipelines.browse.world import write_world
from tests.pipelines.card.test_card import card_of, read_card
from tests.pipelines.helpers import WORDS, contents, match, read_pairs, write_metadata, write_pairs


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Pairs of two sources in three files; texts and URLs repeat within files and across them."""
    folder = tmp_path_factory.mktemp("content")
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    texts = [f"a dog {'and a cat ' * (i % 9)}{i % 140}" for i in range(600)]
    urls = [f"http://{'www.' * (i % 2)}site{min(i % 11, 4)}.org/{i % 450}.jpg" for i in range(600)]
    urls[7] = None
    files = []
    for n in range(3):
        at = slice(200 * n, 200 * n + 200)
        files.append(
            write_pairs(folder / f"{n}.parquet", texts[at], first=200 * n, url=urls[at],
                        source=[("web", "<b>books</b>", None)[i % 3] for i in range(200)],
                        number=[0.5 * i for i in range(200)])
        )  # fmt: skip
    match(files, metadata, folder / "matched")
    balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                  options=BalanceOptions(t=60), workers=2, quiet=True)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("pictures"), num=120)


def copies(values):
    return 1 - len(set(values)) / len(values)


def test_lengths_domains_and_copies_are_those_of_the_kept_pairs(rows, pictures):
    kept = read_pairs(rows / "balanced").to_pylist()
    found = read_card(rows / "balanced")["content"]
    texts = [row["text"] for row in kept]
    urls = [row["url"] for row in kept if row["url"]]
    assert found["sample"] == {"share": 1, "pairs": len(kept)}
    assert found["duplicates"]["text"]["share"] == pytest.approx(copies(texts), abs=1e-6)
    assert found["duplicates"]["url"]["share"] == pytest.approx(copies(urls), abs=1e-6)
    assert found["duplicates"]["url"]["of"] == len(urls)
    hosts = Counter(url.split("/")[2].removeprefix("www.") for url in urls)
    assert {d["domain"]: round(d["share"] * len(urls)) for d in found["domains"]} == hosts
    lengths = sorted(map(len, texts))
    assert found["texts"]["median"] == lengths[(len(lengths) - 1) // 2]
    assert found["texts"]["longest"] == lengths[-1]
    assert sum(found["texts"]["shares"]) == pytest.approx(1, abs=1e-5)
    # The same figures, noted beside shards.
    notes = [json.loads(p.read_text())["content"]
             for p in sorted((pictures / "balanced/shards").glob("*.json"))]  # fmt: skip
    card = read_card(pictures / "balanced")
    assert len(notes) > 1 and sum(n["pairs"] for n in notes) == card["total"]["kept"]
    total = ContentNote.sum(notes)
    assert total.num_distinct("urls") == total.with_url == card["total"]["kept"]
    assert card["content"]["duplicates"]["url"]["share"] == 0 < card["content"]["duplicates"][
        "text"]["share"]  # fmt: skip


def test_a_sample_tells_how_far_it_may_be_off_and_does_not_depend_on_workers(
    rows, tmp_path, monkeypatch
):
    monkeypatch.setattr("curate.curation.sampling.content.SAMPLE", 300)
    cards = [
        balance_pairs(matched=str(rows / "matched"), output=str(tmp_path / str(workers)),
                      options=BalanceOptions(t=60), workers=workers, quiet=True)
        for workers in (1, 3)
    ]  # fmt: skip
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    found = cards[0]["content"]
    exact = read_card(rows / "balanced")["content"]
    assert (
        found["sample"]["share"] == 0.5 and 0 < found["sample"]["pairs"] < exact["sample"]["pairs"]
    )
    for name in ("text", "url"):
        one, true = found["duplicates"][name], exact["duplicates"][name]["share"]
        assert one["low"] < one["share"] < one["high"] and one["low"] <= true <= one["high"]
    shown = " ".join((tmp_path / "1/datacard.md").read_text().split())
    assert "95 % intervals are in brackets" in shown and " to " in shown


def test_pairs_are_counted_by_the_values_of_a_column(rows, pictures, tmp_path):
    card = card_of(rows, by=("source",), output=str(tmp_path))
    for name, folder in (("matched", "matched"), ("kept", "balanced")):
        values = Counter(read_pairs(rows / folder)["source"].to_pylist())
        assert {r["value"]: r[name] for r in card["by"]["source"]} == values
    shown = (tmp_path / "datacard.md").read_text()
    assert "## By source" in shown and "&lt;b&gt;books&lt;/b&gt;" in shown and "none" in shown
    tars = card_of(pictures, by=("license",), output=str(tmp_path / "tars"))
    assert {r["value"]: r["matched"] for r in tars["by"]["license"]} == {"cc0": 60, "cc-by": 60}
    for by, message in (("colour", "'colour', which no matched pair has; expected one of.*source"),
                        ("entry_ids", "a column of list"), ("number", "a column of double"),
                        ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            card_of(rows, by=(by,), output=str(tmp_path))


def test_a_column_of_too_many_values_is_refused(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("curate.pipelines.card.counted.breakdown.MOST_VALUES", 20)
    with pytest.raises(UsageError, match="'pair_id', which has more than 20 values, such as"):
        card_of(rows, by=("pair_id",), output=str(tmp_path))
    assert not (tmp_path / "datacard.json").exists()


def test_all_entries_are_written_with_their_counts(rows, tmp_path):
    card_of(rows, entries=True, output=str(tmp_path))
    counts = pq.read_table(rows / "balanced/probabilities/en.parquet").to_pylist()
    kept = Counter(i for row in read_pairs(rows / "balanced")["entry_ids"].to_pylist() for i in row)
    table = pq.read_table(tmp_path / "entries.parquet").to_pylist()
    with (tmp_path / "entries.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(table) == len(lines) == len(counts)
    for row, line, wanted in zip(table, lines, counts, strict=True):
        assert {n: row[n] for n in wanted} == wanted and row["lang"] == "en"
        assert row["slots"] == min(row["count"], 60) and row["kept"] == kept[row["entry_id"]]
        assert line["entry"] == row["entry"] and int(line["kept"]) == row["kept"]
    card_of(rows, output=str(tmp_path))  # of the same set, so that they stay
    assert (tmp_path / "entries.csv").exists()


def test_images_of_examples_stand_in_the_page_up_to_a_size(pictures, tmp_path, capsys):
    page = (pictures / "balanced/datacard.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert data["thumbnails"] and "img-src data:" in page
    assert all(u.startswith("data:image/jpeg;base64,/9j/") for u in data["thumbnails"].values())
    few = card_of(pictures, thumbnail_bytes=8_000, output=str(tmp_path / "few"))
    shown = (tmp_path / "few/datacard.html").read_text()
    found = json.loads(shown.split('id="data">')[1].split("</script>")[0])["thumbnails"]
    assert 0 < len(found) < len(data["thumbnails"])
    assert sum(len(u) for u in found.values()) < 8_000 * 4 / 3 + 100 * len(found)
    card_of(pictures, thumbnail_bytes=0, output=str(tmp_path / "none"))
    none = (tmp_path / "none/datacard.html").read_text()
    assert "data:image/jpeg" not in none and "img-src" not in none
    assert none == render_page(few)  # which is what `push` sends without images


def test_a_day_is_asked_for_and_the_same_set_has_the_same_card(rows, tmp_path):
    card = card_of(rows, date="2026-11-29", license="cc0-1.0", output=str(tmp_path))
    assert card["date"] == "2026-11-29"
    assert "\n2026-11-29 · cc0-1.0\n" in (tmp_path / "datacard.md").read_text()
    with pytest.raises(UsageError, match="--date is '29.11.'; expected a day as YYYY-MM-DD"):
        stage._day("29.11.")
