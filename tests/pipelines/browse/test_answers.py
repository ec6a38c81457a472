"""What the page asks, answered from stored pairs, against the pairs counted one by one."""

import gc
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.browse import pair_sets
from curate.pipelines.browse.answers import ANSWERS
from curate.pipelines.browse.indexed import entries as entries_module
from curate.pipelines.browse.indexed import index as index_module
from curate.pipelines.browse.indexed import pair_index
from curate.pipelines.browse.pairs import Place, parse_place
from curate.pipelines.browse.places import find_place
from curate.pipelines.browse.session import BusyError, Session
from curate.pipelines.browse.thumbnails import Thumbnails
from curate.pipelines.explain import explain_text
from curate.pipelines.match.dropping import enter_drops
from curate.pipelines.match.stage import MatchOptions, match_inputs
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.retract import retract_pairs
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.browse.world import write_world
from tests.pipelines.card.test_card import write_workspace
from tests.pipelines.helpers import contents, png, read_pairs, write_metadata, write_pairs
from tests.pipelines.tar_helpers import write_tar


def opened(path, **options):
    session = Session(find_place(str(path), Workspace(str(path))), **options)
    session.open()
    return session


def ask(session, name, **asked):
    values = {key.replace("__", "."): str(value) for key, value in asked.items()}
    found = ANSWERS[name](session.state(), values)
    return json.loads(json.dumps(found, ensure_ascii=False, allow_nan=False).encode())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_workspace(tmp_path_factory.mktemp("browse"))


@pytest.fixture(scope="module")
def session(workspace):
    found = opened(workspace)
    yield found
    found.close()


@pytest.fixture(scope="module")
def rows(workspace):
    kept = set(read_pairs(workspace / "balanced")["pair_id"].to_pylist())
    return [{**row, "kept": row["pair_id"] in kept}
            for row in read_pairs(workspace / "matched").to_pylist()]  # fmt: skip


def every_pair(session, **asked):
    found, after = [], None
    while True:
        more = ask(session, "pairs", num=50, **asked, **({"after": after} if after else {}))
        found += more["rows"]
        after = more["following"]
        if after is None:
            return found


def test_the_index_lies_beside_the_workspace_and_changes_nothing_in_it(tmp_path):
    folder = write_workspace(tmp_path)
    before = contents(folder)
    opened(folder).close()
    assert contents(folder) == before
    made = list((folder / ".curate/matched/browse").iterdir())
    assert len(made) == 1
    for path in made[0].iterdir():  # no pair stands in it: what is retracted is nowhere
        content = path.read_bytes()
        assert b"example.org" not in content and b"number" not in content, path
    opened(folder).close()
    assert list((folder / ".curate/matched/browse").iterdir()) == made


def test_the_overview_counts_what_is_stored(session, rows):
    about = ask(session, "about")
    for one in about["languages"]:
        mine = [row for row in rows if row["lang"] == one["lang"]]
        assert (one["pairs"], one["kept"]) == (len(mine), sum(row["kept"] for row in mine))
    assert about["sets"][0]["pairs"] == len(rows) and about["t"] == 25 and about["has_fate"]


def test_entries_are_found_in_any_case_and_sorted_by_what_is_asked(session, rows):
    counted = Counter((r["lang"], i) for r in rows for i in r["entry_ids"])
    kept = Counter((r["lang"], i) for r in rows if r["kept"] for i in r["entry_ids"])
    found = ask(session, "entries", q="RED")
    assert [(r["lang"], r["entry"]) for r in found["rows"]] == [
        ("en", "red"), ("en", "red dog"), ("de", "red"), ("de", "red dog")
    ]  # fmt: skip
    assert found["num"] == 4 and found["is_all"]
    for row in ask(session, "entries", num=200)["rows"]:
        key = row["lang"], row["entry_id"]
        assert (row["count"], row["kept"]) == (counted[key], kept[key]), row
        assert row["slots"] == min(row["count"], 25)
    for sort in ("count", "slots", "kept"):
        values = [row[sort] for row in ask(session, "entries", sort=sort)["rows"]]
        assert values == sorted(values, reverse=True) and values[0] > 0
    langs = [row["lang"] for row in ask(session, "entries", sort="language", num=200)["rows"]]
    assert langs == sorted(langs)
    sources = [row["source"] for row in ask(session, "entries", sort="source", q="d")["rows"]]
    assert set(sources) == {"unigram"}


@pytest.mark.parametrize(
    ("way", "text", "expected"),
    [("begins", "re", ["red", "red dog"]), ("is", "Red", ["red"]),
     ("contains", "ed d", ["red dog"]), ("begins", "ed", []), ("is", "st. john", ["St. John"]),
     ("contains", "<B>", ["<b>bold</b>"])],
)  # fmt: skip
def test_entries_are_searched_by_their_beginning_or_whole(session, way, text, expected):
    found = ask(session, "entries", q=text, way=way, lang="en")
    assert [row["entry"] for row in found["rows"]] == expected


def test_a_search_may_go_on_where_it_ended(session):
    whole = ask(session, "entries", num=60)["rows"]
    pieces = [ask(session, "entries", num=7, first=at)["rows"] for at in range(0, 56, 7)]
    assert [row for piece in pieces for row in piece] == whole[:56]


def test_an_entry_shows_its_pairs_and_what_occurs_with_it(session, rows):
    mine = [r for r in rows if r["lang"] == "en" and "red dog" in r["text"]]
    entry_id = ask(session, "entries", q="red dog", way="is", lang="en")["rows"][0]["entry_id"]
    found = ask(session, "entry", lang="en", id=entry_id)
    assert (found["count"], found["kept"]) == (len(mine), sum(r["kept"] for r in mine))
    assert found["probability"] == 25 / len(mine)
    assert [p["id"] for p in found["pairs"]] == [r["pair_id"] for r in mine[:12]]
    together = Counter(i for r in mine for i in r["entry_ids"])
    del together[entry_id]
    assert {one["id"]: one["pairs"] for one in found["together"]} == dict(together)
    assert found["looked"] == len(mine)


@pytest.mark.parametrize(
    ("asked", "is_wanted"),
    [
        ({}, lambda _: True),
        ({"lang": "de"}, lambda row: row["lang"] == "de"),
        ({"fate": "kept"}, lambda row: row["kept"]),
        ({"fate": "not_sampled", "lang": "en"},
         lambda row: row["lang"] == "en" and not row["kept"]),
        ({"fate": "filtered"}, lambda _: False),
        ({"text": "TREE"}, lambda row: "tree" in row["text"]),
        ({"domain": "example.org"}, lambda _: True),
        ({"domain": "xample.org"}, lambda _: False),
        ({"domain": "org"}, lambda _: True),
        ({"text": "tree", "fate": "kept", "lang": "en", "entry": 104},
         lambda row: row["kept"] and row["lang"] == "en"
         and {"dog", "tree"} <= {*row["text"].split()}),
    ],
)  # fmt: skip
def test_pairs_are_filtered_as_one_would_by_hand(session, rows, asked, is_wanted):
    assert ask(session, "entry", lang="en", id=104)["entry"] == "dog"
    expected = [r["pair_id"] for r in rows if is_wanted(r)]
    found = every_pair(session, **asked)
    assert [p["id"] for p in found] == expected
    assert {p["id"]: p["fate"] == "kept" for p in found} == {
        r["pair_id"]: r["kept"] for r in rows if is_wanted(r)
    }


def test_a_list_says_how_far_it_looked_when_its_time_is_over(session, monkeypatch, rows):
    monkeypatch.setattr("curate.pipelines.browse.pairs.SECONDS", -1.0)
    monkeypatch.setattr(
        "curate.pipelines.browse.answers.find_pairs",
        lambda *a: __import__("curate.pipelines.browse.pairs", fromlist=["x"]).find_pairs(*a, -1.0),
    )
    first = ask(session, "pairs", text="nothing holds this")
    assert first["rows"] == [] and first["following"] is not None and 0 < first["looked"] < 623
    assert [p["id"] for p in every_pair(session)] == [r["pair_id"] for r in rows]


def test_a_pair_is_decided_as_explain_says(session, workspace):
    for pair in ask(session, "pairs", num=30)["rows"]:
        said = explain_text(
            pair_id=pair["id"], metadata=str(workspace / "metadata"),
            matched=str(workspace / "matched"), balanced=str(workspace / "balanced"),
        )  # fmt: skip
        chosen = said["normalizations"][said["normalization"]]
        assert (pair["fate"], pair["draw"]) == (said["status"], said["draw"])
        assert pair["probability"] == chosen["probability"]
        assert {e["id"] for e in pair["entries"]} == {m["entry_id"] for m in chosen["matches"]}
        shown = {pair["text"][start:stop] for start, stop, _ in pair["marks"]}
        assert shown == {m["entry"] for m in chosen["matches"]}


def test_what_if_is_what_yield_says(session, workspace):
    grid = "1,2,3,5,8,13,24,25,26,60,119,404,100000"
    found = measure_yields(matched=str(workspace / "matched"), grid=grid, quiet=True)
    for row in found["yields"]:
        said = ask(session, "what-if", t=row["t"])
        assert {k: said["total"][k] for k in ("kept", "slots")} == {
            k: row[k] for k in ("kept", "slots")
        }
        for lang, one in row["languages"].items():
            assert said["languages"][lang]["kept"] == one["kept"]
    both = ask(session, "what-if", t=5, t__de=60)
    by_t = {row["t"]: row["languages"] for row in found["yields"]}
    assert both["total"]["kept"] == by_t[5]["en"]["kept"] + by_t[60]["de"]["kept"]
    grid, kept = ask(session, "what-if", t=5, lang="en")["yield"]
    checked = measure_yields(matched=str(workspace / "matched"), grid=",".join(map(str, grid)),
                             quiet=True)  # fmt: skip
    assert [row["languages"]["en"]["kept"] for row in checked["yields"]] == kept
    entries, matches, slots = ask(session, "what-if", t=5)["entries"]
    assert (matches[-1], slots[-1]) == (both["total"]["matches"], ask(
        session, "what-if", t=5)["total"]["slots"])  # fmt: skip
    assert entries == sorted(entries) and entries[0] == 0


def test_a_text_is_explained_as_explain_does(session, workspace):
    found = ask(session, "why", text="a red dog", lang="en", t=9)
    expected = explain_text(
        "a red dog", lang="en", t=9, metadata=str(workspace / "metadata"),
        matched=str(workspace / "matched"), balanced=str(workspace / "balanced"),
    )  # fmt: skip
    assert found == json.loads(json.dumps(expected))


@pytest.mark.parametrize(
    "options", [{"filters": ("text-length=0:22",)}, {"target_pairs": 101, "exact": True}]
)
def test_filters_and_an_exact_number_decide_as_they_did(tmp_path, options):
    folder = write_workspace(tmp_path, t=None if "target_pairs" in options else 25, **options)
    session = opened(folder)
    kept = read_pairs(folder / "balanced")["pair_id"].to_pylist()
    found = every_pair(session)
    assert [p["id"] for p in found if p["fate"] == "kept"] == kept
    fates = Counter(p["fate"] for p in found)
    card = json.loads((folder / "balanced/datacard.json").read_text())["total"]
    assert fates == Counter(kept=card["kept"], not_sampled=card["not_sampled"],
                            filtered=card["num_filtered"])  # fmt: skip
    session.close()


def test_more_buckets_and_blocks_give_the_same_index(workspace, tmp_path, monkeypatch, session):
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy)
    shutil.rmtree(copy / ".curate/matched/browse")
    monkeypatch.setattr(pair_index, "_BUCKET", 100)
    monkeypatch.setattr(pair_index, "_STEPS", 50)
    monkeypatch.setattr(entries_module, "_FIRST_BLOCKS", 1)
    other = opened(copy)
    for asked in ({"q": "e"}, {"sort": "kept"}, {"sort": "source"}):
        assert ask(other, "entries", **asked) == ask(session, "entries", **asked)
    assert ask(other, "what-if", t=7) == ask(session, "what-if", t=7)
    for name in ("postings", "kept", "pair_t", "step_t", "step_kept"):
        mine, its = (next((f / ".curate/matched/browse").iterdir()) / name
                     for f in (workspace, copy))  # fmt: skip
        assert mine.read_bytes() == its.read_bytes(), name
    other.close()


def test_a_retraction_is_seen_and_what_it_took_out_is_gone(tmp_path):
    folder = write_workspace(tmp_path)
    session = opened(folder)
    first = ask(session, "pairs", lang="en")["rows"][0]
    name, num = session.state().name, ask(session, "about")["sets"][0]["pairs"]
    (folder / "gone.txt").write_text(first["id"] + "\n")
    (folder / "en.parquet").unlink()  # an input, which would hold it still
    retract_pairs(str(folder / "gone.txt"), matched=str(folder / "matched"),
                  metadata=str(folder / "metadata"), balanced=[str(folder / "balanced")],
                  workspace=str(folder), quiet=True)  # fmt: skip
    with pytest.raises(BusyError):
        session.state()
    session._opening.join(30)
    assert session.state().name != name
    assert first["id"] not in {p["id"] for p in every_pair(session)}
    assert ask(session, "about")["sets"][0]["pairs"] == num - 1
    assert len(list((folder / ".curate/matched/browse").iterdir())) == 1
    session.close()


def test_of_two_that_browse_at_once_one_makes_the_index_and_the_other_waits(tmp_path, monkeypatch):
    folder = write_workspace(tmp_path)
    place, told, is_made = find_place(str(folder), Workspace(str(folder))), [], []
    begun, go_on = threading.Event(), threading.Event()
    make = index_module.write_entries

    def slow(*args):
        is_made.append(1)
        begun.set()
        assert go_on.wait(30)
        return make(*args)

    monkeypatch.setattr(index_module, "write_entries", slow)
    sessions = Session(place), Session(place)
    first = threading.Thread(target=sessions[0].open)
    first.start()
    assert begun.wait(30)

    def noted(what, _share):
        told.append(what)
        go_on.set()

    sessions[1].open(noted)
    first.join(30)
    assert told == ["another `curate browse` makes it"] and len(is_made) == 1
    for session in sessions:
        assert ask(session, "pairs")["rows"]
        session.close()


def test_an_index_that_cannot_stay_goes_with_what_it_is_of(tmp_path, monkeypatch):
    folder = write_workspace(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(index_module, "_kept_folder", lambda *_: None)

    def there():
        return len(list(tmp_path.glob("curate-browse-*")))

    def opened_files():
        gc.collect()
        return sum("curate-browse-" in os.readlink(one) for one in Path("/proc/self/fd").iterdir()
                   if one.is_symlink())  # fmt: skip

    session = opened(folder)
    assert there() == 1 and ask(session, "pairs")["rows"]
    if Path("/proc/self/fd").exists():
        assert opened_files() > 0
    balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                  options=BalanceOptions(t=5), overwrite=True, quiet=True)  # fmt: skip
    with pytest.raises(BusyError):
        session.state()
    session._opening.join(30)
    assert there() == 1 and session.state().t_of["en"] == 5  # that of before is gone
    session.close()
    assert there() == 0 and opened_files() == 0
    monkeypatch.setattr(MatchedPlan, "require_unchanged", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(folder)
    assert there() == 0


def test_matches_that_are_not_whole_and_parts_that_vanished_are_told(tmp_path):
    folder = write_workspace(tmp_path)
    session = opened(folder)
    (folder / "matched/pairs/00000.parquet").rename(folder / "away")
    with pytest.raises(ArtifactError, match="not there any more"):
        ask(session, "pairs", text="dog")
    (folder / "away").rename(folder / "matched/pairs/00000.parquet")
    (folder / "matched/summary.json").rename(folder / "away")
    with pytest.raises(BusyError):
        session.state()
    session._opening.join(30)
    with pytest.raises(ArtifactError, match="not come to its end"):
        session.state()
    (folder / "away").rename(folder / "matched/summary.json")
    with pytest.raises(BusyError):
        session.state()
    session._opening.join(30)
    assert ask(session, "pairs")["rows"]
    session.close()


def test_a_set_of_other_matches_is_told_and_not_believed(tmp_path):
    folder = write_workspace(tmp_path)
    plan = json.loads((folder / "balanced/plan.json").read_text())
    other = write_workspace(tmp_path / "other", english=["a dog", "a red cat"])
    shutil.rmtree(folder / "balanced")
    shutil.copytree(other / "balanced", folder / "balanced")
    session = opened(folder)
    about = ask(session, "about")
    assert plan and not about["has_fate"] and "other matches" in about["notes"][0]
    with pytest.raises(UsageError, match="nothing is balanced"):
        ask(session, "pairs", fate="kept")
    session.close()


def made_index(folder):
    return next((folder / ".curate/matched/browse").iterdir())


@pytest.mark.parametrize("harm", ["short", "gone", "note", "no note"])
def test_an_index_that_is_damaged_is_made_anew_and_told(tmp_path, caplog, harm):
    folder = write_workspace(tmp_path)
    opened(folder).close()
    whole = contents(made_index(folder))
    path = made_index(folder) / ("index.json" if "note" in harm else "pair_t")
    if harm in ("gone", "no note"):
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:8] if harm == "short" else content.replace(b"en", b"xx"))
    with caplog.at_level("INFO", "curate"):
        session = opened(folder)
    assert "the index for browsing is damaged; it is made anew" in caplog.text
    assert contents(made_index(folder)) == whole and ask(session, "pairs")["rows"]
    session.close()


def test_an_index_whose_bytes_changed_is_noticed_and_made_anew(tmp_path, caplog):
    folder = write_workspace(tmp_path)
    opened(folder).close()
    whole, made = contents(made_index(folder)), made_index(folder)
    names = sorted(path.name for path in made.iterdir() if path.stat().st_size)
    assert {"entries", "postings", "pair_t", "blocks", "step_t", "index.json"} <= set(names)
    for name in set(names) - {"index.json"}:  # of the same length
        content = bytearray((made / name).read_bytes())
        content[-1] ^= 1
        (made / name).write_bytes(content)
        session = opened(folder)
        caplog.clear()
        with caplog.at_level("INFO", "curate"):
            session.check()
        assert "the index for browsing is damaged; it is made anew" in caplog.text, name
        with pytest.raises(BusyError):
            session.state()
        session._opening.join(30)
        assert ask(session, "pairs")["rows"] and contents(made_index(folder)) == whole
        session.check()
        session.state()  # which is as it was
        session.close()


def test_an_index_that_others_took_away_is_read_on(tmp_path):
    folder = write_workspace(tmp_path)
    session = opened(folder)
    shutil.rmtree(made_index(folder))
    session.check()
    assert ask(session, "pairs")["rows"] and ask(session, "entries", q="dog")["rows"]
    session.close()


def test_tars_are_shown_with_their_own_fields_and_images(tmp_path):
    samples = {"a.jpg": png((200, 0, 0), 500), "a.txt": "a red dog", "a.json": {
        "url": "https://a.example/x", "aesthetic": 5.5, "source": "here"},
        "b.txt": "no image", "b.json": {"aesthetic": 3},
        "c.jpg": b"\xff\xd8\xffnonsense", "c.txt": "broken", "c.json": b"{"}  # fmt: skip
    write_tar(tmp_path / "x" / "00000.tar", samples)
    session = opened(tmp_path / "x")
    assert ask(session, "about")["sets"][0]["columns"] == {"aesthetic": "number", "source": "text"}
    a, b, c = ask(session, "pairs")["rows"]
    assert (a["text"], a["own"], a["image"]) == (
        "a red dog", {"aesthetic": 5.5, "source": "here"}, True)  # fmt: skip
    assert not b["image"] and c["image"] and c["text"] == "broken"
    for asked, expected in (
        ({"column": "aesthetic", "from": 4}, ["a red dog"]), ({"text": "IMAGE"}, ["no image"]),
        ({"column": "source", "is": "here"}, ["a red dog"]),
        ({"domain": "a.example"}, ["a red dog"]),
    ):  # fmt: skip
        assert [p["text"] for p in every_pair(session, **asked)] == expected
    pairs, thumbnails = session.state().sets["files"], Thumbnails()
    shown = thumbnails.image("", pairs, parse_place(a["at"]), 224)
    assert shown[:3] == b"\xff\xd8\xff" and len(shown) < 20_000
    for pair, words in ((b, "no image"), (c, "cannot be shown")):
        with pytest.raises(InputError, match=words):
            thumbnails.image("", pairs, parse_place(pair["at"]), 224)
    session.close()


@pytest.mark.parametrize("lang", [None, "en"])
def test_a_workspace_of_one_language_is_searched_and_shown(tmp_path, lang):
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red dog", "dog"]})
    tar = write_tar(
        tmp_path / "in.tar",
        {
            "a.txt": "a red dog in the park",
            "a.json": b'{"lang": "en", "half": "\\ud800", "n": 1' + b"0" * 400 + b"}",
            "b.txt": "the dog is on the grass", "b.json": {"lang": "en"},
        },
    )  # fmt: skip
    match_inputs([str(tar)], metadata=str(metadata), output=str(tmp_path / "matched"),
                 options=MatchOptions(), quiet=True)  # fmt: skip
    session = opened(tmp_path)
    found = ask(session, "entries", q="DOG", **({"lang": lang} if lang else {}))
    assert [(r["entry"], r["count"]) for r in found["rows"]] == [("dog", 2), ("red dog", 1)]
    # The halves of surrogate pairs and the long number of a tar's JSON are texts.
    shown = ask(session, "pairs")["rows"][0]["own"]
    assert shown == {"half": "\\ud800", "n": f"1{'0' * 400}"}
    session.close()


def test_long_numbers_of_a_tars_json_are_as_they_are(tmp_path):
    tar = write_tar(
        tmp_path / "00000.tar",
        {
            "a.txt": "x", "a.json": {"user": 2**53 + 1, "n": 7, "pair_id": "own", "probability": 1},
            "b.txt": "y", "b.json": b'{"user": 1' + b"0" * 400 + b', "pair_id": 2.0}',
        },
    )  # fmt: skip
    session = opened(tar)
    first, second = ask(session, "pairs")["rows"]
    assert first["own"] == {"user": str(2**53 + 1), "n": 7} and first["probability"] == 1
    assert (first["id"], second["id"]) == ("own", None)
    assert second["own"] == {"user": f"1{'0' * 400}"}
    session.close()


def test_a_bare_parquet_file_is_shown_with_its_columns_and_images(tmp_path):
    values = [f"text {i}" for i in range(9)]
    path = write_pairs(tmp_path / "in.parquet", values, image=[png((0, i, 0)) for i in range(9)],
                       score=np.arange(9.0), kind=["a", "b", "c"] * 3)  # fmt: skip
    session = opened(path)
    found = every_pair(session, column="score", to=4)
    assert [p["text"] for p in found] == values[:5]
    assert [p["text"] for p in every_pair(session, column="kind", **{"is": "b"})] == values[1::3]
    pairs = session.state().sets["files"]
    assert Thumbnails().image("", pairs, parse_place(found[4]["at"]), 224)[:2] == b"\xff\xd8"
    with pytest.raises(InputError, match="no entries here"):
        ask(session, "entries")
    session.close()


def test_many_images_of_a_row_group_are_read_once_and_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_sets, "_CACHED_BYTES", 1000)
    images = [png((30 * i, 255 - 30 * i, 0)) for i in range(8)]
    pq.write_table(pa.table({"image": images, "text": ["a dog"] * 8, "more": ["x" * 200] * 8}),
                   tmp_path / "in.parquet")  # fmt: skip
    session = opened(tmp_path / "in.parquet")
    pairs, thumbnails, read = session.state().sets["files"], Thumbnails(), []
    usual = pairs._read

    def noted(group, columns):
        read.append(columns)
        time.sleep(0.05)  # so that the others ask meanwhile
        return usual(group, columns)

    pairs._read = noted
    with ThreadPoolExecutor(8) as pool:
        shown = list(
            pool.map(lambda row: thumbnails.image("", pairs, Place(0, row), 224), range(8))
        )
    assert read == [["image"]] and len(set(shown)) == 8
    pairs.table(0, ["text", "more"])
    assert pairs.table(0, ["text", "more"]).num_rows == 8  # more than is kept of others
    assert read == [["image"], ["text", "more"]] and len(pairs._cache) == 2
    session.close()


def test_a_table_cannot_have_a_file_outside_its_folder_shown(tmp_path):
    (tmp_path / "secret.png").write_bytes(png((1, 2, 3)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/own.png").write_bytes(png((9, 9, 9)))
    names = ["own.png", "../secret.png", str(tmp_path / "secret.png"), "http://127.0.0.1:9/x.png"]
    table = pa.table({"file_name": names, "text": ["a", "b", "c", "d"]})
    pq.write_table(table, tmp_path / "in/in.parquet")
    session = opened(tmp_path / "in/in.parquet")
    pairs, thumbnails = session.state().sets["files"], Thumbnails()
    assert thumbnails.image("", pairs, parse_place("0.0"), 224)
    for row in (1, 2, 3):
        with pytest.raises(InputError, match="cannot be read"):
            thumbnails.image("", pairs, parse_place(f"0.{row}"), 224)
    session.close()


def test_images_of_shards_and_of_matches_are_shown_and_a_balanced_set_alone(tmp_path):
    folder = write_world(tmp_path, num=60)
    session = opened(folder)
    state, thumbnails = session.state(), Thumbnails()
    assert list(state.sets) == ["matched", "shards"]
    for name in state.sets:
        pair = ask(session, "pairs", set=name, lang="ja")["rows"][0]
        assert thumbnails.image("", state.sets[name], parse_place(pair["at"]), 224)
        assert pair["marks"] and pair["own"]["license"] in ("cc0", "cc-by")
    session.close()
    alone = opened(folder / "balanced")
    assert alone.state().index is None or alone.place.kind == "balanced"
    found = ask(alone, "pairs", lang="en")["rows"]
    assert found and all(p["entries"] and p["marks"] for p in found)
    names = [r["entry"] for r in ask(alone, "entries", q="SEA", lang="en")["rows"]]
    assert names == ["above the sea", "sea"]
    entry = ask(alone, "entry", lang="en", id=found[0]["entries"][0]["id"])
    assert entry["pairs"] and entry["count"] > 0
    alone.close()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("entries", {"way": "loud"}), ("entries", {"sort": "x"}), ("entries", {"first": 5000}),
        ("entries", {"lang": "../en"}), ("entry", {"lang": "en", "id": 10**9}),
        ("entry", {"lang": "en", "id": "-1"}), ("pairs", {"set": "../x"}),
        ("pairs", {"after": "1"}), ("pairs", {"num": 0}), ("pairs", {"fate": "x"}),
        ("pairs", {"entry": 1}), ("pairs", {"domain": "a b"}), ("pairs", {"column": "pair_id"}),
        ("pairs", {"score_from": "x"}), ("pairs", {"text": "x" * 500}), ("pair", {"at": "9.9999"}),
        ("pair", {"at": "0.99999999"}), ("what-if", {"t": "x"}), ("what-if", {"t__xx": 5}),
        ("why", {"text": "x" * 5000}), ("what-if", {"t__en": "0"}),
        ("pairs", {"entry": "²", "lang": "en"}), ("pairs", {"entry": "9" * 5000, "lang": "en"}),
        ("pairs", {"after": "0." + "9" * 30}), ("pair", {"at": "9" * 30 + ".0"}),
    ],
)  # fmt: skip
def test_questions_that_cannot_be_meant_are_refused_with_a_sentence(session, name, asked):
    with pytest.raises(UsageError) as refused:
        ask(session, name, **asked)
    assert 10 < len(str(refused.value)) < 400


def test_there_has_to_be_something_to_browse(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("x")
    for path in ("empty", "none"):
        with pytest.raises(InputError, match="Expected a workspace"):
            find_place(str(tmp_path / path), Workspace(str(tmp_path)))
    with pytest.raises(InputError, match="nothing is matched"):
        find_place(None, Workspace(str(tmp_path)))


def test_postings_of_an_entry_are_its_pairs(session, rows, workspace):
    index, plan = session.state().index, MatchedPlan.read(str(workspace / "matched"))
    assert sum(part.num_rows or 0 for part in plan.parts) >= len(rows)
    for lang, entry_id in {(r["lang"], i) for r in rows for i in r["entry_ids"]}:
        found = index.postings(lang, entry_id).between(0, len(rows), len(rows))
        expected = [
            n for n, r in enumerate(rows) if r["lang"] == lang and entry_id in r["entry_ids"]
        ]
        assert found.tolist() == expected


def test_balancing_anew_gives_another_state(tmp_path):
    folder = write_workspace(tmp_path)
    session = opened(folder)
    before = session.state().name
    balance_pairs(matched=str(folder / "matched"), output=str(folder / "balanced"),
                  options=BalanceOptions(t=5), overwrite=True, quiet=True)  # fmt: skip
    with pytest.raises(BusyError):
        session.state()
    session._opening.join(30)
    assert session.state().name != before and session.state().t_of["en"] == 5
    session.close()


@pytest.mark.parametrize("is_balanced", [True, False])
def test_pairs_that_count_no_more_are_shown_so_and_counted_nowhere(tmp_path, is_balanced):
    folder = write_workspace(tmp_path)
    matched, balanced = folder / "matched", folder / "balanced"
    ids = read_pairs(matched)["pair_id"].to_pylist()
    gone = set(ids[::3])
    blurred = [(pa.array(sorted(gone)), pa.array(["blurred"] * len(gone)))]
    enter_drops(str(matched), "scores", blurred, quiet=True)
    if is_balanced:
        balance_pairs(matched=str(matched), output=str(balanced),
                      options=BalanceOptions(t=25), overwrite=True, quiet=True)  # fmt: skip
    else:
        shutil.rmtree(balanced)
    session = opened(folder)
    found = every_pair(session)
    assert [p["id"] for p in found] == ids
    assert {p["id"] for p in found if p.get("fate") == "dropped"} == gone
    for one in found:
        assert (one["t"] is None) == (one["id"] in gone)
    yields = measure_yields(matched=str(matched), grid="1,5,25,1000", quiet=True)["yields"]
    for row in yields:
        assert ask(session, "what-if", t=row["t"])["total"]["kept"] == row["kept"]
    if is_balanced:
        kept = set(read_pairs(balanced)["pair_id"].to_pylist())
        assert {p["id"] for p in every_pair(session, fate="kept")} == kept
        assert {p["id"] for p in every_pair(session, fate="dropped")} == gone
    session.close()
