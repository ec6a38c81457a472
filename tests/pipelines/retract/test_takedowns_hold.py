"""A takedown holds in everything below the workspace, or fails and says where it does not."""

import gzip
import os
import shutil

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import ArtifactError, InputError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.balance.uid_file import write_uid_file
from curate.pipelines.extract.summary import ExtractSummary
from curate.pipelines.retract.check import Wanted, find_held
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.store import artifacts
from tests.pipelines.helpers import WORDS, match, read_pairs, texts, write_metadata, write_pairs


@pytest.fixture
def workspace(tmp_path):
    """A workspace whose inputs came from `extract`, with addresses that have no protocol."""
    write_metadata(tmp_path / "metadata", {"en": WORDS})
    urls = [f"example.org/{i}.jpg" for i in range(200)]
    values = texts(200)
    summary = ExtractSummary()
    summary.records["page"] = 9
    summary.pairs["pairs"] = 200
    stamp = {"parameters": "p", "part": "q", "summary": summary.as_dict()}
    table = pa.table({"url": urls, "text": values})
    artifacts.write_table(str(tmp_path / "pairs/00000.parquet"), table, stamp, "")
    artifacts.write_json(str(tmp_path / "pairs/_extract/summary.json"),
                         {"plan": "r", "inputs": 1, **summary.as_dict()})  # fmt: skip
    match_again(tmp_path)
    balance(tmp_path, "balanced")
    return tmp_path


def match_again(folder, *more):
    paths = [folder / "pairs/00000.parquet", *more]
    return match(paths, folder / "metadata", folder / "matched")


def balance(folder, name, **options):
    balance_pairs(
        matched=str(folder / "matched"), output=str(folder / name), quiet=True,
        options=BalanceOptions(t=500, **options),
    )  # fmt: skip


def retract(folder, names, **options):
    (folder / "list.txt").write_text("\n".join(names))
    return retract_pairs(
        str(folder / "list.txt"), matched=str(folder / "matched"), quiet=True,
        metadata=str(folder / "metadata"), balanced=[str(folder / "balanced")],
        workspace=str(folder), **options,
    )  # fmt: skip


def some(folder):
    """Return an id and an address without a protocol, of two pairs."""
    table = read_pairs(folder / "matched")
    return table.column("pair_id")[3].as_py(), table.column("url")[7].as_py()


def test_ids_and_addresses_without_a_protocol_go_from_everything(workspace):
    names = some(workspace)
    with pytest.raises(ArtifactError, match="2 of 2 asked for are still there") as told:
        retract(workspace, names, check=True)
    for place in ("pairs/00000.parquet", "matched/pairs/00000.parquet", "balanced/pairs/00000"):
        assert place in str(told.value)
    result = retract(workspace, names)
    assert (result["asked"], result["removed"], result["missing"]) == (2, 2, 0)
    assert result["extracted"] == 2
    assert retract(workspace, names, check=True) == {"asked": 2, "held": 0}
    assert find_held(str(workspace), Wanted(list(names))) == {}
    again = retract(workspace, names)
    assert (again["removed"], again["already_retracted"]) == (0, 2)
    left = artifacts.read_json(str(workspace / "pairs/_extract/summary.json"))
    assert left["pairs"] == 198 and left["dropped"] == {"retracted": 2}
    fresh = write_pairs(workspace / "fresh.parquet", texts(9, 5), first=900)
    assert match_again(workspace, fresh)["inputs"] == 2  # the rewritten file is known


def test_a_set_without_a_plan_fails_the_retraction_and_is_named(workspace):
    names = some(workspace)
    shutil.copytree(workspace / "balanced", workspace / "old")
    (workspace / "old/plan.json").unlink()
    with pytest.raises(ArtifactError, match="of 2 asked for 0 are out, 0 were not there, 2 failed"):
        retract(workspace, names)
    with pytest.raises(ArtifactError, match="old/pairs/00000.parquet holds 2"):
        retract(workspace, names, check=True)
    shutil.rmtree(workspace / "old")
    assert retract(workspace, names)["already_retracted"] == 2


def test_every_name_ends_as_removed_not_there_or_failed(workspace):
    here, url = some(workspace)
    result = retract(workspace, [here, url, "f" * 24, "example.org/none.jpg"], ignore_missing=True)
    assert (result["removed"], result["missing"], result["already_retracted"]) == (2, 2, 0)
    assert result["asked"] == result["removed"] + result["missing"]


def test_shards_runs_and_cards_of_earlier_matches_are_looked_at(workspace):
    here, url = some(workspace)
    balance(workspace, "tars", output_format="shards")
    shutil.copytree(workspace / "balanced", workspace / "cards")
    shutil.rmtree(workspace / "cards/pairs")
    (workspace / "runs/a/nonfinite").mkdir(parents=True)
    (workspace / "runs/a/nonfinite/step-1.json").write_text(f'{{"pair_ids": ["x", "{here}"]}}')
    with pytest.raises(ArtifactError) as told:
        retract(workspace, [here, url])
    for place in ("tars/shards/00000.tar holds 2", "nonfinite/step-1.json holds 1",
                  "cards/datacard.json is of earlier matches"):  # fmt: skip
        assert place in str(told.value)


def test_a_subset_of_uids_is_looked_into(workspace):
    uids = [f"{number:032x}" for number in (7, 1 << 70)]
    write_uid_file(str(workspace / "subset.npy"), [pa.array(uids)])
    np.save(workspace / "embeddings.npy", np.zeros((3, 4), np.float16))
    found = find_held(str(workspace), Wanted([uids[1], "f" * 32, "example.org/a.jpg"]))
    assert found == {str(workspace / "subset.npy"): {uids[1]}}


def test_packed_lines_are_looked_into(workspace):
    (workspace / "a.jsonl.gz").write_bytes(gzip.compress(b'{"url": "example.org/x"}\n'))
    assert find_held(str(workspace), Wanted(["example.org/x"])) == {
        str(workspace / "a.jsonl.gz"): {"example.org/x"}
    }


def test_where_nothing_is_there_is_nothing_to_check(workspace):
    (workspace / "list.txt").write_text("a")
    with pytest.raises(InputError, match="nothing to check: .*nowhere is not there"):
        retract_pairs(
            str(workspace / "list.txt"), matched=str(workspace / "nowhere/matched"), balanced=[],
            metadata="none", workspace=str(workspace / "nowhere"), check=True, quiet=True,
        )  # fmt: skip


def test_extracted_files_are_known_after_a_retraction_that_was_cut_short(workspace, monkeypatch):
    names = some(workspace)
    monkeypatch.setattr("curate.pipelines.extract.purge._sum_up", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        retract(workspace, names)
    monkeypatch.undo()
    assert retract(workspace, names)["already_retracted"] == 2
    fresh = write_pairs(workspace / "fresh.parquet", texts(9, 5), first=900)
    assert match_again(workspace, fresh)["inputs"] == 2
    for path in (workspace / "pairs").glob("*.parquet"):
        os.utime(path, (1, 1))  # as a copy of the workspace has it
    assert match_again(workspace, fresh)["inputs"] == 2
