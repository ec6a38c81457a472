"""Pairs that do not count: as if they had never been matched, and nothing is written anew."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import ArtifactError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.diff.stage import compare_folders
from curate.pipelines.explain.stage import explain_text
from curate.pipelines.match import enter_drops
from curate.pipelines.matched import drops as drops_module
from curate.pipelines.matched.drops import DropList, Drops, drop_keys
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.store import artifacts
from curate.pipelines.yields.stage import measure_yields
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

NUM = 300


def write_world(folder, keep=None):
    """Match two languages; those pairs alone whose number is kept."""
    write_metadata(folder / "metadata", {"en": WORDS, "de": WORDS[:5]})
    paths = []
    for i, lang in enumerate(("en", "de")):
        rows = range(NUM * i, NUM * i + NUM)
        images = [png((row % 255, 9, 9)) for row in rows]
        path = write_pairs(folder / f"{i}.parquet", texts(NUM, i), first=NUM * i,
                           lang=[lang] * NUM, image=images)  # fmt: skip
        if keep is not None:
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            pq.write_table(table.filter(pa.array([keep(row) for row in rows])), path)
        paths.append(path)
    match(paths, folder / "metadata", folder / "matched", lang=None)
    return folder


def is_kept(row):
    return row % 7 != 3


def balance(folder, **options):
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        overwrite=True, options=BalanceOptions(**{"t": 20, "output_format": "parquet", **options}),
    )  # fmt: skip


def counts_of(folder):
    found = load_counts(MatchedPlan.read(str(folder / "matched")))
    return {lang: count.tolist() for lang, count in found.items()}


def listed(ids, reason):
    """Return pairs as `enter_drops` takes them."""
    return [(artifacts.strings(ids), artifacts.strings([reason] * len(ids)))]


def write_list(folder, name, found):
    with DropList(str(folder)) as drops:
        for pair_ids, reasons in found:
            drops.add(pair_ids, reasons)
        drops.write(name, None)


def ids_that_go(folder):
    """Return the ids of the pairs whose number is not kept."""
    rows = read_pairs(folder / "matched").select(["pair_id", "url"]).to_pylist()
    numbers = [int(row["url"].rsplit("/")[-1].removesuffix(".jpg")) for row in rows]
    return [row["pair_id"] for row, n in zip(rows, numbers, strict=True) if not is_kept(n)]


@pytest.fixture
def dropped(tmp_path):
    """A world with a list of drops, and the same world without those pairs."""
    world, without = write_world(tmp_path / "a"), write_world(tmp_path / "b", is_kept)
    before = contents(world / "matched/pairs")
    ids = ids_that_go(world)
    assert ids
    enter_drops(str(world / "matched"), "duplicates", listed(ids, "duplicate_exact"), quiet=True)
    assert contents(world / "matched/pairs") == before
    return world, without, ids


def test_counts_sums_and_what_is_kept_are_those_of_matches_without_the_pairs(dropped):
    world, without, ids = dropped
    assert counts_of(world) == counts_of(without)
    summaries = [artifacts.read_json(str(f / "matched/summary.json")) for f in (world, without)]
    for name in ("matched", "with_image", "without_url", "matches"):
        assert summaries[0][name] == summaries[1][name], name
    assert summaries[0]["dropped"]["duplicate_exact"] == len(ids)
    cards = [balance(folder) for folder in (world, without)]
    kept = [sorted(read_pairs(f / "balanced").column("pair_id").to_pylist()) for f in
            (world, without)]  # fmt: skip
    assert kept[0] == kept[1] and not set(kept[0]) & set(ids)
    for name in ("matched", "kept", "not_sampled", "kl_before_bits", "kl_after_bits"):
        assert cards[0]["total"][name] == cards[1]["total"][name]
    assert cards[0]["total"]["dropped"]["duplicate_exact"] == len(ids)


@pytest.mark.parametrize(
    "options",
    [
        {"t": None, "target_pairs": 200, "exact": True},
        {"output_format": "shards", "pairs_per_shard": 100},
    ],
)
def test_exact_numbers_and_shards_leave_them_out_too(dropped, options):
    world, without, _ = dropped
    cards = [balance(folder, **options) for folder in (world, without)]
    assert cards[0]["total"]["kept"] == cards[1]["total"]["kept"] > 0
    if options.get("output_format") == "shards":
        names = sorted(path.name for path in (without / "balanced/shards").iterdir())
        tars = [name for name in names if name.endswith(".tar")]
        for name in tars:
            found = [(f / "balanced/shards" / name).read_bytes() for f in (world, without)]
            assert found[0] == found[1]


def test_yields_the_card_and_diff_agree(dropped):
    world, without, _ = dropped
    found = [measure_yields(matched=str(f / "matched"), grid="5,20", quiet=True)["yields"]
             for f in (world, without)]  # fmt: skip
    assert found[0] == found[1]
    balance(world)
    card = artifacts.read_json(str(world / "balanced/datacard.json"))
    again = make_card(matched=str(world / "matched"), balanced=str(world / "balanced"), quiet=True)
    assert again["total"] == card["total"]
    differ = compare_folders(str(world / "matched"), str(without / "matched"), quiet=True)
    assert differ["pairs"]["only_a"] == differ["pairs"]["only_b"] == 0


def test_a_list_that_is_taken_away_brings_its_pairs_back(tmp_path):
    world = write_world(tmp_path)
    before, ids = contents(world / "matched"), ids_that_go(world)
    enter_drops(str(world / "matched"), "duplicates", listed(ids, "x"), quiet=True)
    assert contents(world / "matched") != before
    enter_drops(str(world / "matched"), "duplicates", None, quiet=True)
    assert contents(world / "matched") == before


def test_two_lists_add_up_and_the_first_gives_the_reason(dropped):
    world, _, ids = dropped
    others = [i for i in read_pairs(world / "matched").column("pair_id").to_pylist()
              if i not in set(ids)][:10]  # fmt: skip
    both = [*others, *ids[:5]]
    summary = enter_drops(str(world / "matched"), "scores", listed(both, "clip_score"), quiet=True)
    assert summary["dropped"]["duplicate_exact"] == len(ids)
    assert summary["dropped"]["clip_score"] == 10


def test_explain_says_why_a_pair_does_not_count(dropped):
    world, _, ids = dropped
    places = {name: str(world / name) for name in ("metadata", "matched", "balanced")}
    found = explain_text(pair_id=ids[0], **places)
    assert found["status"] == "dropped"
    assert found["decision"] == "dropped: duplicate_exact, so that it does not count"


def test_a_balanced_set_of_before_is_stale_and_a_retraction_goes_on(dropped):
    world, without, ids = dropped
    gone = [i for i in read_pairs(world / "matched").column("pair_id").to_pylist()
            if i not in set(ids)][:4]  # fmt: skip
    for folder in (world, without):
        balance(folder)
        (folder / "list.txt").write_text("\n".join(gone))
        places = {name: str(folder / name) for name in ("metadata", "matched")}
        listing, balanced = str(folder / "list.txt"), [str(folder / "balanced")]
        retract_pairs(listing, balanced=balanced, quiet=True, **places)
    assert counts_of(world) == counts_of(without)
    enter_drops(str(world / "matched"), "duplicates", None, quiet=True)
    with pytest.raises(ArtifactError, match="balanced from other matches"):
        make_card(matched=str(world / "matched"), balanced=str(world / "balanced"), quiet=True)


def test_a_retraction_says_of_which_sets_more_will_be_others(dropped, capsys):
    world, _, ids = dropped
    balance(world)
    (world / "list.txt").write_text(ids[0])
    places = {name: str(world / name) for name in ("metadata", "matched")}
    listing, balanced = str(world / "list.txt"), [str(world / "balanced")]
    retract_pairs(listing, balanced=balanced, **places)
    assert "made anew of those that count now" not in capsys.readouterr().err
    enter_drops(str(world / "matched"), "duplicates", None, quiet=True)
    (world / "list.txt").write_text(ids[1])
    retract_pairs(listing, balanced=balanced, **places)
    assert f"{world / 'balanced'} was balanced before" in capsys.readouterr().err


def test_pairs_that_are_added_count_and_an_overwrite_forgets_the_list(dropped):
    world, _, ids = dropped
    write_pairs(world / "2.parquet", texts(50, 5), first=9000, lang=["en"] * 50,
                image=[png((1, 2, 3))] * 50)  # fmt: skip
    paths = [world / f"{i}.parquet" for i in range(3)]
    added = match(paths, world / "metadata", world / "matched", lang=None)
    assert added["dropped"]["duplicate_exact"] == len(ids)
    anew = match(paths, world / "metadata", world / "matched", lang=None, overwrite=True)
    assert "duplicate_exact" not in anew["dropped"]
    assert anew["matched"] == added["matched"] + len(ids)


def test_a_list_whose_counting_was_cut_short_is_noticed(dropped, monkeypatch):
    world, without, ids = dropped
    import curate.pipelines.match.dropping as dropping

    monkeypatch.setattr(dropping, "finish_matched", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        enter_drops(str(world / "matched"), "more", listed(ids[:1], "x"), quiet=True)
    with pytest.raises(ArtifactError, match="matching has not come to its end"):
        load_counts(MatchedPlan.read(str(world / "matched")))
    monkeypatch.undo()
    paths = [world / f"{i}.parquet" for i in range(2)]
    match(paths, world / "metadata", world / "matched", lang=None)
    assert counts_of(world) == counts_of(without)


def test_a_list_that_was_put_there_by_hand_is_noticed(dropped):
    world, _, ids = dropped
    write_list(world / "matched", "mine", listed(ids, "x"))
    with pytest.raises(ArtifactError, match="not those that it was counted without"):
        load_counts(MatchedPlan.read(str(world / "matched")))


def reasons_of(folder):
    drops = Drops.read(str(folder))
    return dict(zip(drops.keys.tolist(), [drops.reasons[c] for c in drops.codes], strict=True))


def test_a_list_is_the_same_in_whatever_pieces_it_comes_and_is_sorted(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    ids = [f"p{number}" for number in rng.integers(0, 60_000, 100_000).tolist()]
    why = [f"r{number}" for number in rng.integers(0, 3, 100_000).tolist()]
    write_list(tmp_path / "whole", "x", [(artifacts.strings(ids), artifacts.strings(why))])
    (tmp_path / "pieces").mkdir()
    monkeypatch.setattr(drops_module, "_MOST", 1000)
    pieces = [
        (artifacts.strings(ids[at : at + 700]), artifacts.strings(why[at : at + 700]))
        for at in range(0, len(ids), 700)
    ]
    tracemalloc.start()
    write_list(tmp_path / "pieces", "x", pieces)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contents(tmp_path / "pieces") == contents(tmp_path / "whole")
    first = dict(reversed(list(zip(ids, why, strict=True))))  # of several reasons the first counts
    keys = drop_keys(artifacts.strings(first)).tolist()
    assert reasons_of(tmp_path / "pieces") == dict(zip(keys, first.values(), strict=True))
    assert peak < 1 << 20  # the list alone, as keys and codes, has 1.2 MB; its ids and reasons 9 MB


def test_a_long_list_goes_to_a_folder_that_is_named_as_a_url_of_this_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(drops_module, "_MOST", 10)
    found = [listed([f"{at}-{i}" for i in range(20)], "x")[0] for at in range(3)]
    write_list(f"file://{tmp_path}", "x", found)
    assert len(reasons_of(tmp_path)) == 60


def test_a_list_that_cannot_be_read_to_its_end_changes_nothing(tmp_path):
    world = write_world(tmp_path)
    before = contents(world / "matched")

    def broken():
        yield from listed(ids_that_go(world), "x")
        raise ArtifactError("a part is damaged")

    with pytest.raises(ArtifactError, match="a part is damaged"):
        enter_drops(str(world / "matched"), "scores", broken(), quiet=True)
    assert contents(world / "matched") == before
