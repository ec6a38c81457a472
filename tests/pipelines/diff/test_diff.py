"""What `diff` says is what comparing lists and counting by hand says."""

import json
import shutil
from collections import Counter
from math import log2

import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, DiskSpaceError, UsageError
from curate.files import disk_space
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.diff import pairs as diff_pairs
from curate.pipelines.diff import sides as diff_sides
from curate.pipelines.diff.stage import compare_folders
from curate.pipelines.diff.view import diff_table
from tests.cli.test_cli import curate
from tests.pipelines.helpers import (
    WORDS,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

NUM = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two matched folders whose inputs overlap, and sets balanced from them."""
    folder = tmp_path_factory.mktemp("diff")
    write_metadata(folder / "metadata", {"en": WORDS, "de": WORDS[:4]})
    inputs = {
        name: write_pairs(folder / f"{name}.parquet", texts(NUM, seed), first=first,
                          lang=["en", "de", "en"] * (NUM // 3))
        for name, seed, first in (("a", 0, 0), ("b", 1, 1000), ("c", 2, 2000))
    }  # fmt: skip
    match([inputs["a"], inputs["b"]], folder / "metadata", folder / "ab", lang=None)
    match([inputs["b"], inputs["c"]], folder / "metadata", folder / "bc", lang=None)
    for t in (5, 20):
        balance(folder / "ab", folder / f"t{t}", t=t)
    return folder


def balance(matched, output, **options):
    balance_pairs(
        matched=str(matched), output=str(output), options=BalanceOptions(**options), quiet=True
    )


def compare(a, b, **options):
    return compare_folders(str(a), str(b), **options)


def by_hand(a, b):
    """Return per language the ids only in a, in both, only in b."""
    langs = [dict(zip(*(t.column(c).to_pylist() for c in ("pair_id", "lang")), strict=True))
             for t in (read_pairs(a), read_pairs(b))]  # fmt: skip
    shared = langs[0].keys() & langs[1].keys()
    return (
        Counter(lang for i, lang in langs[0].items() if i not in shared),
        Counter(langs[0][i] for i in shared),
        Counter(lang for i, lang in langs[1].items() if i not in shared),
    )


def counts_by_hand(folder):
    table = read_pairs(folder)
    rows = zip(table.column("lang").to_pylist(), table.column("entry_ids").to_pylist(), strict=True)
    return Counter((lang, i) for lang, ids in rows for i in ids)


@pytest.mark.parametrize("names", [("ab", "bc"), ("t5", "t20"), ("t20", "t5"), ("ab", "ab")])
@pytest.mark.parametrize("pairs_per_partition", [10**6, 50])
def test_pairs_are_those_of_comparing_lists(folder, monkeypatch, names, pairs_per_partition):
    monkeypatch.setattr(diff_pairs, "PAIRS_PER_PARTITION", pairs_per_partition)
    a, b = (folder / name for name in names)
    found, expected = compare(a, b), by_hand(a, b)
    for lang, values in found["languages"].items():
        numbers = [values["pairs"][k] for k in ("only_a", "both", "only_b", "changed")]
        assert numbers == [*(counter[lang] for counter in expected), 0]
    assert [found["pairs"][k] for k in ("only_a", "both", "only_b")] == [
        counter.total() for counter in expected
    ]
    if names == ("t5", "t20"):  # what a smaller t keeps a larger t keeps
        assert found["pairs"]["only_a"] == 0 < found["pairs"]["only_b"]
    assert len(found["examples_only_a"]) == min(10, expected[0].total())


def test_the_distributions_are_those_of_counting_by_hand(folder):
    found = compare(folder / "t5", folder / "ab", num_examples=3)
    a, b = counts_by_hand(folder / "t5"), counts_by_hand(folder / "ab")
    assert (found["matches_a"], found["matches_b"]) == (a.total(), b.total())
    keys = sorted({*a, *b})
    smooth = [[(c[k] + 1) / (c.total() + len(keys)) for k in keys] for c in (a, b)]
    bits = sum(x * log2(x / y) for x, y in zip(*smooth, strict=True))
    assert found["kl_a_b_bits"] == pytest.approx(bits) and bits > 0.01
    change = {k: b[k] / b.total() - a[k] / a.total() for k in keys}
    assert found["moved_share"] == pytest.approx(sum(map(abs, change.values())) / 2)
    assert [abs(c["share_b"] - c["share_a"]) for c in found["largest_changes"]] == pytest.approx(
        sorted(map(abs, change.values()), reverse=True)[:3]
    )
    top = found["largest_changes"][0]
    entry_id = (
        100
        + sorted(  # after the numbers
            WORDS if top["lang"] == "en" else WORDS[:4]
        ).index(top["entry"])
    )
    assert (top["count_a"], top["count_b"]) == (
        a[top["lang"], entry_id], b[top["lang"], entry_id],
    )  # fmt: skip
    english = found["languages"]["en"]
    tail = sum(a[k] for k in keys if k[0] == "en" and b[k] < 5)
    assert english["a"]["tail_share"] == pytest.approx(
        tail / sum(n for k, n in a.items() if k[0] == "en")
    )
    assert (english["a"]["t"], english["b"]["t"]) == (5, 20_000)


def test_equal_folders_differ_in_nothing(folder):
    found = compare(folder / "ab", folder / "ab")
    assert found["differences"] == found["largest_changes"] == found["examples_only_a"] == []
    assert found["kl_a_b_bits"] == found["moved_share"] == found["entries_only_b"] == 0


def test_two_normalizations_change_the_entries_of_pairs(folder, tmp_path):
    match([folder / "a.parquet"], folder / "metadata", tmp_path / "standard", lang=None)
    match([folder / "a.parquet"], folder / "metadata", tmp_path / "metaclip", lang=None,
          normalization="metaclip")  # fmt: skip
    found = compare(tmp_path / "standard", tmp_path / "metaclip")
    old, new = (
        {row["pair_id"]: row["entry_ids"] for row in read_pairs(tmp_path / name).to_pylist()}
        for name in ("standard", "metaclip")
    )
    changed = sum(old[i] != new[i] for i in old.keys() & new.keys())
    assert found["pairs"]["changed"] == changed > 0
    assert found["differences"] == [{"name": "normalization", "a": "standard", "b": "metaclip"}]
    assert found["largest_changes"][0]["entry"] == "St. John"
    assert found["languages"]["en"]["entries_only_a"] == 1


def test_shards_are_compared_as_parquet_is(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    odd = [f"id.{i}" for i in range(60)]  # ids that a tar cannot hold as keys
    pairs = write_pairs(tmp_path / "a.parquet", texts(60), uid=odd, image=[png((i, 0, 0))
                        for i in range(60)])  # fmt: skip
    match([pairs], tmp_path / "metadata", tmp_path / "matched")
    for name, t, output_format in (("p5", 5, "parquet"), ("s5", 5, "shards"), ("s9", 9, "shards")):
        balance(tmp_path / "matched", tmp_path / name, t=t, output_format=output_format,
                pairs_per_shard=10)  # fmt: skip
    same = compare(tmp_path / "p5", tmp_path / "s5")
    assert (same["pairs"]["only_a"], same["pairs"]["only_b"], same["pairs"]["changed"]) == (0, 0, 0)
    balance(tmp_path / "matched", tmp_path / "p9", t=9, output_format="parquet")
    by_parquet = compare(tmp_path / "p5", tmp_path / "p9")
    by_shards = compare(tmp_path / "s5", tmp_path / "s9")
    assert by_shards["pairs"] == by_parquet["pairs"] and by_shards["pairs"]["only_b"] > 0
    assert by_shards["largest_changes"] == by_parquet["largest_changes"]


def test_ids_that_repeat_count_once(folder, tmp_path):
    table = pq.read_table(folder / "a.parquet")  # the same rows in other bytes: no copy of the file
    pq.write_table(table, tmp_path / "again.parquet", compression="gzip")
    files = [folder / "a.parquet", tmp_path / "again.parquet"]
    match(files, folder / "metadata", tmp_path / "twice", lang=None, repeated_ids="keep")
    match(files[:1], folder / "metadata", tmp_path / "once", lang=None)
    num = len(read_pairs(tmp_path / "once"))
    found = compare(tmp_path / "twice", tmp_path / "once")["pairs"]
    assert found == {
        "both": num, "only_a": 0, "only_b": 0, "changed": 0, "repeated_a": num, "repeated_b": 0
    }  # fmt: skip


def test_other_metadata_is_compared_by_entry(folder, tmp_path):
    write_metadata(tmp_path / "metadata", {"en": [*WORDS[1:], "number"], "de": WORDS[:4]})
    match([folder / "a.parquet", folder / "b.parquet"], tmp_path / "metadata", tmp_path / "new",
          lang=None)  # fmt: skip
    found = compare(folder / "ab", tmp_path / "new")
    english = found["languages"]["en"]
    assert (english["entries_only_a"], english["entries_only_b"]) == (1, 1)
    assert {c["entry"] for c in found["largest_changes"][:2]} == {"red", "number"}
    assert english["pairs"]["changed"] == 0  # ids of other metadata mean nothing
    assert "metadata.en" in [d["name"] for d in found["differences"]]


def test_metadata_is_compared_entry_by_entry(tmp_path):
    old = write_metadata(tmp_path / "old", {"en": ["cat", "dog", "tree"], "de": ["Haus"],
                                            "fr": ["chien"]})  # fmt: skip
    new = write_metadata(tmp_path / "new", {"en": ["ant", "cat", "tree"], "de": ["Haus"],
                                            "zh": ["北京"]})  # fmt: skip
    found = compare(old, new)
    assert found["languages"]["en"] == {
        "a": 103, "b": 103, "both": 102, "removed": 1, "added": 1, "other_source": 0, "other_id": 1,
        "sources": {
            "number": {"a": 100, "b": 100, "removed": 0, "added": 0},
            "unigram": {"a": 3, "b": 3, "removed": 1, "added": 1},
        },
        "examples_removed": ["dog"], "examples_added": ["ant"],
    }  # fmt: skip
    assert found["languages_equal"] == ["de"]
    assert (found["languages_only_a"], found["languages_only_b"]) == (["fr"], ["zh"])
    assert found["entries"]["a"] == 103 + 101 + 101 and found["entries"]["removed"] == 1 + 101
    assert "en removed: dog" in diff_table(found) and "en added: ant" in diff_table(found)


@pytest.mark.parametrize("names", [("t5", "metadata"), ("metadata", "ab"), ("ab", "nothing")])
def test_folders_of_other_kinds_are_refused(folder, names):
    with pytest.raises(UsageError, match=r"expected (metadata of both|a folder that)"):
        compare(*(folder / name for name in names))


def test_what_has_not_come_to_its_end_is_refused(folder, tmp_path):
    for name, marker in (("ab", "summary.json"), ("t5", "datacard.json")):
        shutil.copytree(folder / name, tmp_path / name)
        (tmp_path / name / marker).unlink()
        with pytest.raises(ArtifactError, match="has not come to its end"):
            compare(folder / name, tmp_path / name)


def test_a_disk_without_room_is_refused_before_anything_is_written(folder, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskSpaceError, match="TMPDIR"):
        compare(folder / "ab", folder / "bc")


def test_the_command_prints_a_table_or_json_and_leaves_nothing_behind(folder, tmp_path):
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin"}
    found = curate("diff", folder / "t5", folder / "t20", env=environment)
    assert found.returncode == 0 and found.stdout.startswith("lang  both  changed"), found.stderr
    assert "\n  t: 5 → 20\n" in found.stdout and not list(tmp_path.iterdir())
    assert "\x1b" not in diff_table(compare(folder / "t5", folder / "t20"))
    assert json.dumps(compare(folder / "t5", folder / "t20"))


def test_entries_are_shown_inert(tmp_path):
    old = write_metadata(tmp_path / "old", {"en": ["cat"]})
    new = write_metadata(tmp_path / "new", {"en": ["cat", "dog\u202e"]})
    shown = diff_table(compare(old, new))
    assert r"en added: dog\u202e" in shown and "\u202e" not in shown


def test_pairs_that_fit_no_entries_are_refused(folder, monkeypatch):
    monkeypatch.setattr(diff_sides.Side, "num_entries", lambda *_: 1)
    with pytest.raises(ArtifactError, match=r"00000\.parquet: entry ids go beyond the entries"):
        compare(folder / "ab", folder / "bc")
