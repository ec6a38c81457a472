"""What is retracted is gone, stays away, and leaves what a run from scratch would give."""

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError
from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.match import purge as purge_module
from curate.pipelines.match import stage as match_module
from curate.pipelines.matched.notes import noted_metadata
from curate.pipelines.retract import stage as retract_module
from curate.pipelines.retract.stage import _read_list, retract_pairs
from curate.pipelines.retract.view import retract_table
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

CURATE = Path(sys.executable).with_name("curate")
NUM = 400


@pytest.fixture
def workspace(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS, "de": WORDS[:5]})
    for i, lang in enumerate(("en", "de", "en")):
        write_pairs(tmp_path / f"{i}.parquet", texts(NUM, i), first=NUM * i, lang=[lang] * NUM)
    match(inputs(tmp_path), tmp_path / "metadata", tmp_path / "matched", lang=None)
    balance(tmp_path)
    return tmp_path


def inputs(folder):
    return [folder / f"{i}.parquet" for i in range(3)]


def balance(folder, **options):
    balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), quiet=True,
        options=BalanceOptions(**(options or {"t": 30})),
    )  # fmt: skip


def retract(folder, names, quiet=True, **options):
    (folder / "list.txt").write_text("\n".join(names) + "\n\n")
    return retract_pairs(
        str(folder / "list.txt"), matched=str(folder / "matched"), quiet=quiet,
        metadata=str(folder / "metadata"), balanced=[str(folder / "balanced")], **options,
    )  # fmt: skip


def some_ids(folder, step=37):
    return read_pairs(folder / "matched").column("pair_id").to_pylist()[::step]


def url(number):
    return f"https://example.org/{number}.jpg"


def test_what_is_left_is_what_a_run_from_scratch_gives_byte_for_byte(workspace):
    ids, urls = some_ids(workspace), [url(3), url(NUM + 5)]
    before = len(read_pairs(workspace / "matched"))
    result = retract(workspace, [*ids, *urls])
    assert result["matched"] == before - result["retracted"] and result["retracted"] >= len(ids)
    left = read_pairs(workspace / "matched")
    assert not set(ids) & set(left.column("pair_id").to_pylist())
    assert not set(urls) & set(left.column("url").to_pylist())
    found = {name: contents(workspace / name) for name in ("matched", "balanced")}

    shutil.copy(workspace / "matched/retracted.parquet", workspace / "kept.parquet")
    shutil.rmtree(workspace / "matched")
    shutil.rmtree(workspace / "balanced")
    (workspace / "matched").mkdir()
    shutil.copy(workspace / "kept.parquet", workspace / "matched/retracted.parquet")
    match(inputs(workspace), workspace / "metadata", workspace / "matched", lang=None)
    balance(workspace)
    assert found == {name: contents(workspace / name) for name in ("matched", "balanced")}


def test_next_months_files_and_takedowns_leave_what_a_run_from_scratch_gives(workspace):
    fresh = workspace / "fresh"
    shutil.rmtree(workspace / "matched")
    for num in (1, 2, 3):  # a file more each month
        match(inputs(workspace)[:num], workspace / "metadata", workspace / "matched", lang=None)
    balance_again(workspace / "matched", workspace / "balanced")
    match(inputs(workspace), workspace / "metadata", fresh / "matched", lang=None)
    balance_again(fresh / "matched", fresh / "balanced")
    for name in ("matched", "balanced"):
        assert contents(workspace / name) == contents(fresh / name)

    retract(workspace, [*some_ids(workspace), url(NUM + 7)])
    shutil.copy(workspace / "matched/retracted.parquet", workspace / "tombstones.parquet")
    shutil.rmtree(fresh)
    (fresh / "matched").mkdir(parents=True)
    shutil.copy(workspace / "tombstones.parquet", fresh / "matched/retracted.parquet")
    match(inputs(workspace), workspace / "metadata", fresh / "matched", lang=None)
    balance_again(fresh / "matched", fresh / "balanced")
    for name in ("matched", "balanced"):
        assert contents(workspace / name) == contents(fresh / name)


def balance_again(matched, output):
    balance_pairs(
        matched=str(matched), output=str(output), options=BalanceOptions(t=30), overwrite=True,
        quiet=True,
    )  # fmt: skip


def test_a_rerun_does_not_bring_them_back(workspace):
    ids = some_ids(workspace)
    retract(workspace, ids)
    for overwrite in (False, True):
        summary = match(
            inputs(workspace), workspace / "metadata", workspace / "matched", lang=None,
            overwrite=overwrite,
        )  # fmt: skip
        assert summary["dropped"]["retracted"] == len(ids)
        assert not set(ids) & set(some_ids(workspace, 1))


def test_a_url_is_kept_out_of_later_files_too(workspace):
    retract(workspace, [url(9999)], ignore_missing=True)
    late = write_pairs(workspace / "late.parquet", texts(3), first=9998, lang=["en"] * 3)
    match([*inputs(workspace), late], workspace / "metadata", workspace / "matched", lang=None)
    urls = read_pairs(workspace / "matched").column("url").to_pylist()
    assert url(9998) in urls and url(9999) not in urls


def test_a_retraction_that_was_cut_short_is_finished_by_the_next_command(workspace, monkeypatch):
    ids = some_ids(workspace)
    monkeypatch.setattr(purge_module, "purge_part", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retract(workspace, ids)
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match="has not come to its end"):
        balance(workspace, t=31)
    match(inputs(workspace), workspace / "metadata", workspace / "matched", lang=None)
    assert not set(ids) & set(some_ids(workspace, 1))


def test_a_retraction_that_was_cut_short_goes_on_when_it_is_run_again(workspace, monkeypatch):
    ids = some_ids(workspace)
    shutil.copytree(workspace, workspace / "whole")
    retract(workspace / "whole", ids)
    monkeypatch.setattr(purge_module, "purge_part", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retract(workspace, ids)
    monkeypatch.undo()
    result = retract(workspace, ids)
    assert (result["retracted"], result["already_retracted"]) == (len(ids), len(ids))
    assert contents(workspace / "matched") == contents(workspace / "whole/matched")
    assert kept_ids(workspace / "balanced") == kept_ids(workspace / "whole/balanced")


def test_matches_that_have_not_come_to_their_end_are_not_retracted_from(workspace, monkeypatch):
    ids = some_ids(workspace)
    shutil.rmtree(workspace / "matched")
    monkeypatch.setattr(match_module, "finish_matched", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        match(inputs(workspace), workspace / "metadata", workspace / "matched", lang=None)
    with pytest.raises(ArtifactError, match="matching has not come to its end"):
        retract(workspace, ids)


def test_nobody_adds_files_between_the_search_and_the_retraction(workspace, monkeypatch):
    late = write_pairs(workspace / "late.parquet", texts(30), first=9000, lang=["en"] * 30)
    files = [*inputs(workspace), late]
    find = retract_module.find_ids

    def find_while_another_matches(*arguments, **options):
        with pytest.raises(ArtifactError, match="another"):
            match(files, workspace / "metadata", workspace / "matched", lang=None)
        return find(*arguments, **options)

    monkeypatch.setattr(retract_module, "find_ids", find_while_another_matches)
    retract(workspace, some_ids(workspace))
    match(files, workspace / "metadata", workspace / "matched", lang=None)
    assert url(9029) in read_pairs(workspace / "matched").column("url").to_pylist()


def test_an_id_may_look_like_a_url(tmp_path):
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    uids = [f"https://example.org/page/{i}" for i in range(30)]
    file = write_pairs(tmp_path / "0.parquet", texts(30), uid=uids)
    match([file], tmp_path / "metadata", tmp_path / "matched")
    assert retract(tmp_path, [uids[4], url(7)])["retracted"] == 2
    left = read_pairs(tmp_path / "matched")
    assert uids[4] not in left.column("pair_id").to_pylist()
    assert url(7) not in left.column("url").to_pylist() and len(left) == 28
    result = retract(tmp_path, [uids[4], url(7)])
    assert (result["retracted"], result["already_retracted"]) == (0, 2)


def test_a_mark_of_byte_order_belongs_to_no_id(workspace):
    ids = some_ids(workspace)[:2]
    result = retract(workspace, ["\ufeff" + ids[0], ids[1]], ignore_missing=True)
    assert (result["retracted"], result["missing"]) == (2, 0)


def test_a_target_of_pairs_is_met_again(workspace):
    shutil.rmtree(workspace / "balanced")
    balance(workspace, target_pairs=300)
    result = retract(workspace, some_ids(workspace))
    assert result["kept"] >= 300


def test_what_is_not_there_is_refused_and_changes_nothing(workspace):
    before = contents(workspace)
    with pytest.raises(InputError, match=r"2 of 3 are not in .*matched: nowhere, .*--ignore-miss"):
        retract(workspace, [some_ids(workspace)[0], "nowhere", url(123456)])
    (workspace / "list.txt").unlink()
    assert contents(workspace) == before


def test_other_sets_of_the_same_matches_are_named_until_they_are_made_anew(workspace):
    for t, name in ((20, "small"), (30, "other")):
        balance_pairs(
            matched=str(workspace / "matched"), output=str(workspace / f"sets/{name}"), quiet=True,
            options=BalanceOptions(t=t),
        )  # fmt: skip
    shutil.copytree(workspace / "matched", workspace / "copy")
    balance_pairs(  # made from other matches now
        matched=str(workspace / "copy"), output=str(workspace / "sets/other"), quiet=True,
        options=BalanceOptions(t=31), overwrite=True,
    )  # fmt: skip
    ids, small = some_ids(workspace), str(workspace / "sets/small")
    assert set(ids) & kept_ids(workspace / "sets/small")
    for _ in range(2):
        with pytest.raises(ArtifactError, match=f"{len(set(ids))} asked for .* failed") as told:
            retract(workspace, ids)
        assert f"{small}/pairs/00000.parquet holds" in str(told.value)
        assert "--balanced" in str(told.value)
    assert set(ids) & kept_ids(workspace / "sets/small")
    result = retract_pairs(
        str(workspace / "list.txt"), matched=str(workspace / "matched"), quiet=True,
        metadata=str(workspace / "metadata"), balanced=[str(workspace / "balanced"), small],
    )  # fmt: skip
    assert "models" in retract_table(result)
    assert not set(ids) & kept_ids(workspace / "sets/small")
    sets = ("balanced", "sets/small")
    assert result["kept"] == sum(len(kept_ids(workspace / name)) for name in sets)


def kept_ids(folder):
    return set(read_pairs(folder).column("pair_id").to_pylist())


def test_metadata_elsewhere_is_found_again_after_the_workspace_has_moved(workspace):
    (workspace / "metadata").rename(workspace / "elsewhere")
    shutil.rmtree(workspace / "matched")
    match(inputs(workspace), workspace / "elsewhere", workspace / "matched", lang=None)
    assert noted_metadata(str(workspace / "matched")) == str(workspace / "elsewhere")
    moved = workspace / "moved"
    moved.mkdir()
    for name in ("matched", "elsewhere", ".curate"):
        (workspace / name).rename(moved / name)
    assert noted_metadata(str(moved / "matched")) == str(moved / "elsewhere")
    (moved / "list.txt").write_text(some_ids(moved)[0])
    for command in (["retract", "list.txt"], ["explain", "a red dog", "--lang", "en"]):
        done = subprocess.run([CURATE, *command, "-w", "."], cwd=moved, capture_output=True)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(moved / "elsewhere")
    assert noted_metadata(str(moved / "matched")) is None


def test_matches_in_a_place_that_is_only_read_can_be_balanced(workspace, monkeypatch, capsys):
    write_json = storage.write_json

    def refuse(path, value):
        if ".curate/matched/balanced" in path:
            raise PermissionError(13, "Permission denied", path)
        write_json(path, value)

    monkeypatch.setattr(storage, "write_json", refuse)
    balance_pairs(
        matched=str(workspace / "matched"), output=str(workspace / "sets/x"), quiet=True,
        options=BalanceOptions(t=20),
    )  # fmt: skip
    assert "`curate retract` and `explain` have to be told" in capsys.readouterr().err


def test_a_dry_run_counts_and_changes_nothing(workspace):
    before = contents(workspace / "matched")
    assert retract(workspace, some_ids(workspace)[:3], dry_run=True)["retracted"] == 3
    assert contents(workspace / "matched") == before


def test_the_same_list_again_changes_nothing(workspace):
    ids = some_ids(workspace)
    retract(workspace, ids)
    before = contents(workspace)
    result = retract(workspace, ids)
    assert (result["retracted"], result["already_retracted"]) == (0, len(ids))
    assert contents(workspace) == before


def test_lists_may_be_parquet(workspace):
    ids = some_ids(workspace)[:4]
    pq.write_table(
        pa.table({"pair_id": pa.array([*ids, None]).cast("binary")}), workspace / "list.parquet"
    )
    result = retract_pairs(
        str(workspace / "list.parquet"), matched=str(workspace / "matched"), quiet=True,
        metadata=str(workspace / "metadata"), balanced=[str(workspace / "balanced")],
    )  # fmt: skip
    assert result["retracted"] == 4 and result["removed"] == 4


@pytest.mark.parametrize(("name", "content"), [("empty.txt", b"\n \n"), ("other.parquet", None)])
def test_lists_of_nothing_are_refused(workspace, name, content):
    if content is None:
        pq.write_table(pa.table({"x": [1]}), workspace / name)
    else:
        (workspace / name).write_bytes(content)
    with pytest.raises(InputError, match=r"nothing in it|expected a column pair_id"):
        retract_pairs(
            str(workspace / name), matched=str(workspace / "matched"), quiet=True,
            metadata=str(workspace / "metadata"), balanced=[],
        )  # fmt: skip


def test_an_id_in_place_of_a_list_is_told_what_is_expected():
    with pytest.raises(InputError, match="abc123: there is no such file; expected a list of pair"):
        _read_list("abc123")
