"""An overwrite takes the place of what is there when it is whole, and not before."""

import shutil

import pytest

from curate.errors import ArtifactError, CurateError
from curate.files import storage
from curate.files.sealed_json import write_json
from curate.files.sums import read_sums
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.download.plan import BalancedPairs
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.store import artifacts
from curate.pipelines.store.swap import finish_swap, folder_to_fill, next_folder, swap_in
from tests.pipelines.helpers import WORDS, contents, match, texts, write_metadata, write_pairs


@pytest.fixture
def workspace(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    for i in range(2):
        write_pairs(tmp_path / f"{i}.parquet", texts(150, i), first=150 * i)
    match_all(tmp_path)
    balance(tmp_path, 20)
    return tmp_path


def match_all(folder, **options):
    paths = [folder / "0.parquet", folder / "1.parquet"]
    return match(paths, folder / "metadata", folder / "matched", **options)


def balance(folder, t, **options):
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        options=BalanceOptions(t=t), **options,
    )  # fmt: skip


def visible(folder):
    return {name: value for name, value in contents(folder).items() if not name.startswith(".next")}


def test_an_overwrite_that_fails_leaves_what_was_there(workspace):
    before = contents(workspace / "balanced")
    (workspace / "matched/pairs/00001.parquet").rename(workspace / "away")
    with pytest.raises(ArtifactError, match="00001.parquet: there is no such file"):
        balance(workspace, 21, overwrite=True)
    assert visible(workspace / "balanced") == before
    (workspace / "away").rename(workspace / "matched/pairs/00001.parquet")
    anew = balance(workspace, 21, overwrite=True)
    assert anew["t"] == 21 and not (workspace / "balanced/.next").exists()
    shutil.rmtree(workspace / "balanced")
    assert balance(workspace, 21) == anew


def test_matches_stay_until_those_that_replace_them_are_whole(workspace):
    before = contents(workspace / "matched")
    (workspace / "1.parquet").rename(workspace / "kept")
    (workspace / "1.parquet").write_bytes(b"no Parquet file")
    with pytest.raises(CurateError, match="cannot be read"):
        match_all(workspace, overwrite=True, normalization="metaclip")
    assert visible(workspace / "matched") == before
    (workspace / "kept").rename(workspace / "1.parquet")
    match_all(workspace, overwrite=True, normalization="metaclip")
    found = contents(workspace / "matched")
    shutil.rmtree(workspace / "matched")
    match_all(workspace, normalization="metaclip")
    assert contents(workspace / "matched") == found != before


class Stopped(BaseException):
    """A kill, as a test can make it."""


@pytest.mark.parametrize("after", range(9))
def test_a_swap_that_was_cut_short_is_finished_by_the_next_command(workspace, monkeypatch, after):
    moves, move = [], storage.move_or_copy
    old = contents(workspace / "balanced")

    def stop(source, target):
        if len(moves) == after:
            raise Stopped
        moves.append(target)
        move(source, target)

    monkeypatch.setattr(storage, "move_or_copy", stop)
    try:
        balance(workspace, 21, overwrite=True)
    except Stopped:
        refused = "replaced|come to its end|no balanced pairs"
        with pytest.raises(CurateError, match=refused):  # neither the old set, nor half of each
            BalancedPairs.open(str(workspace / "balanced"), ColumnNames())
    monkeypatch.setattr(storage, "move_or_copy", move)
    balance(workspace, 21)  # whatever drives the output next
    found = contents(workspace / "balanced")
    shutil.rmtree(workspace / "balanced")
    balance(workspace, 21)
    assert contents(workspace / "balanced") == found != old


def test_a_card_is_replaced_whole_or_not_at_all(workspace, monkeypatch):
    before = contents(workspace / "balanced")
    options = {"matched": str(workspace / "matched"), "balanced": str(workspace / "balanced")}

    def full(card, thumbnails):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("curate.pipelines.card.write.render_page", full)
    with pytest.raises(CurateError, match="the disk is full"):
        make_card(**options, num_examples=1)
    assert visible(workspace / "balanced") == before
    monkeypatch.undo()
    make_card(**options, num_examples=1)
    after = contents(workspace / "balanced")
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"datacard.html", "datacard.json", "datacard.md"}


def test_a_card_waits_for_whoever_works_on_the_set(workspace):
    from curate.pipelines.executor.lease import driving

    options = {"matched": str(workspace / "matched"), "balanced": str(workspace / "balanced")}
    with driving(str(workspace / "balanced"), "balance"):
        with pytest.raises(ArtifactError, match="works on it already"):
            make_card(**options)
    before = contents(workspace / "balanced")
    make_card(**options)
    assert contents(workspace / "balanced") == before


def test_what_was_damaged_before_the_swap_does_not_replace_anything(tmp_path):
    output = str(tmp_path / "out")
    artifacts.begin_output(output, {"t": 1})
    with pytest.raises(ArtifactError, match="out stays as it was"):
        with folder_to_fill(output, overwrite=True, marker="plan.json", sign="sign") as folder:
            artifacts.begin_output(folder, {"t": 2})
            (tmp_path / "out/.next/summary.json").write_text('{"a": 1}')
    assert artifacts.read_json(f"{output}/plan.json")["parameters"] == {"t": 1}


def test_object_stores_swap_by_copies(tmp_path):
    import fsspec

    output = f"memory://swap{tmp_path.name}/out"
    for t in (1, 2):
        with folder_to_fill(output, overwrite=t == 2, marker="plan.json", sign="plan.json") as at:
            artifacts.begin_output(at, {"t": t})
            artifacts.write_json(storage.join(at, "pairs", f"{t}.json"), {"t": t})
    found = fsspec.filesystem("memory").find(output.removeprefix("memory:/"))
    names = sorted(name.partition("/out/")[2] for name in found)
    assert names == ["pairs/2.json", "plan.json"]
    finish_swap(output)
    assert not storage.exists(next_folder(output))


def test_parts_that_are_missing_doubled_or_foreign_are_errors(workspace, tmp_path):
    pairs = workspace / "balanced/pairs"
    whole = {path.name: path.read_bytes() for path in pairs.iterdir()}
    other = balance_pairs(
        matched=str(workspace / "matched"), output=str(tmp_path / "other"), quiet=True,
        options=BalanceOptions(t=5),
    )  # fmt: skip
    assert other["total"]["kept"]

    def opened():
        return BalancedPairs.open(str(workspace / "balanced"), ColumnNames())

    assert len(opened().paths) == 2
    (pairs / "00001.parquet").unlink()
    with pytest.raises(ArtifactError, match="a part is missing or foreign"):
        opened()
    (pairs / "00001.parquet").write_bytes(whole["00000.parquet"])
    with pytest.raises(ArtifactError, match="another part of this one"):
        opened()
    shutil.copy(tmp_path / "other/pairs/00001.parquet", pairs / "00001.parquet")
    with pytest.raises(ArtifactError, match="a part of another set"):
        opened()
    (pairs / "00001.parquet").write_bytes(whole["00001.parquet"])
    (pairs / "extra.parquet").write_bytes(whole["00001.parquet"])
    with pytest.raises(ArtifactError, match="expected 00002.parquet in its place"):
        opened()


@pytest.mark.parametrize("after", range(4))
def test_in_a_store_too_a_swap_that_was_cut_short_loses_nothing(monkeypatch, after):
    """Stores copy file by file, and remove what was copied file by file."""
    root = f"memory://swap-{after}"
    for name in ("shards/a.txt", "shards/b.txt", "sign.txt"):
        for path, content in ((f"{root}/out/.next/{name}", b"new"), (f"{root}/out/{name}", b"old")):
            with storage.publish(path) as file:
                file.write(content)
    removed, remove = [], storage.remove

    def stop(path):
        if len(removed) == after:
            raise Stopped
        removed.append(path)
        remove(path)

    monkeypatch.setattr(storage, "remove", stop)
    with pytest.raises(Stopped):
        swap_in(f"{root}/out", sign="sign.txt")
    monkeypatch.setattr(storage, "remove", remove)
    finish_swap(f"{root}/out")
    filesystem, inside = storage.filesystem_of(f"{root}/out")
    files = [path for path in filesystem.find(inside) if "/.next/" not in path]
    assert [filesystem.cat(path) for path in files] == [b"new"] * 3


@pytest.mark.parametrize("key", ["sign", "moves", "gone"])
def test_a_swap_that_came_with_a_copy_moves_nothing_outside_of_the_folder(tmp_path, key):
    (tmp_path / "mine.txt").write_text("mine")
    folder = tmp_path / "w/balanced"
    (folder / ".next").mkdir(parents=True)
    values = {"sign": "plan.json", "moves": ["plan.json"], "gone": ["plan.json"]}
    values[key] = "../../mine.txt" if key == "sign" else ["../../mine.txt"]
    write_json(str(folder / ".next/swap.json"), values)
    with pytest.raises(ArtifactError, match=r"swap.json is damaged: '../../mine.txt' leads out"):
        finish_swap(str(folder))
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_sums_that_came_with_a_copy_name_no_file_outside_of_the_folder(tmp_path):
    (tmp_path / "w").mkdir()
    for name in ("../mine.txt", "/etc/passwd", "a/../../b", "s3://bucket/a"):
        write_json(str(tmp_path / "w/sums.json"),
                   {"files": {name: {"size_bytes": 1, "xxh3_128": "x"}}})  # fmt: skip
        with pytest.raises(ArtifactError, match=r"sums.json is damaged: .* leads out"):
            read_sums(str(tmp_path / "w"))
