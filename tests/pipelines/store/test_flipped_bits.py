"""A bit that rots in any artifact is noticed by whoever reads it, or changes nothing."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import curate
from curate.curation.matching.index import unpack_index
from curate.errors import ArtifactError, CurateError
from curate.files import storage
from curate.files.remedies import on_command_line
from curate.files.sealed_json import read_json, write_json
from curate.files.sums import add_sums, check_file, check_listed, check_shard, file_sum
from curate.metadata.corpus.part import read_counted
from curate.metadata.fetch.notes import RemoteFile, Source, publish_json, read_note, read_source
from curate.metadata.ngrams.runs import WORDS as WORD_COUNTS
from curate.metadata.ngrams.runs import read_groups, run_writer
from curate.metadata.views.stored_views import StoredViews, filter_views, num_bad_lines
from curate.metadata.wikipedia.dump_list import Dump, read_dump
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.status.verify import verify_workspace
from curate.pipelines.store import artifacts
from curate.pipelines.store.verify import verify_tree
from curate.training.data.shards import index_shard
from tests.pipelines.helpers import WORDS, match, png, texts, write_metadata, write_pairs

# The slow suite flips many bits of each artifact.
FEW, MANY = 25, 300

ARTIFACTS = {
    "pairs of match": "matched/pairs/00000.parquet",
    "counts": "matched/counts/en.parquet",
    "journal": "matched/parts.parquet",
    "plan of match": "matched/plan.json",
    "summary": "matched/summary.json",
    "probabilities": "balanced/probabilities/en.parquet",
    "pairs of balance": "balanced/pairs/00000.parquet",
    "plan of balance": "balanced/plan.json",
    "data card": "balanced/datacard.json",
    "page": "balanced/datacard.html",
    "shard": "tars/shards/00000.tar",
    "index of a shard": "tars/shards/00000.idx",
    "note of a shard": "tars/shards/00000.json",
    "entries": "metadata/en.parquet",
    "index of entries": "metadata/en.index",
    "manifest": "metadata/manifest.json",
    "checkpoint": "runs/a/checkpoints/step-000000002.pt",
    "tokenizer": "runs/a/tokenizer.json",
    "sums": "runs/a/sums.json",
    "retractions": "taken/retracted.parquet",
    "note of a download": "sources/a.bz2.source.json",
    "list of a dump": "sources/dewiki-20260101.dump.json",
    "sample of page views": "sources/sample.json",
    "counted page views": "sources/views.parquet",
    "counted words": "sources/part.words.parquet",
    "note of counts": "sources/part.json",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bits")
    write_workspace(folder)
    return folder


def write_workspace(folder):
    """Write every artifact that there is."""
    metadata = write_metadata(folder / "metadata", {"en": WORDS})
    images = [png((i, 90, 20)) for i in range(120)]
    a = write_pairs(folder / "a.parquet", texts(120), image=images)
    match([a], metadata, folder / "matched")
    for name, kind in (("balanced", "parquet"), ("tars", "shards")):
        balance(folder, name, output_format=kind)
    run = folder / "runs/a"
    (run / "checkpoints").mkdir(parents=True)
    content = np.random.default_rng(0).bytes(40_000)
    (run / "checkpoints/step-000000002.pt").write_bytes(content)
    (run / "tokenizer.json").write_text('{"model": {"vocab": {"a": 1, "b": 2}}}')
    names = ("tokenizer.json", "checkpoints/step-000000002.pt")
    add_sums(str(run), {name: file_sum(str(run / name)) for name in names})
    Tombstones(*(pa.array(["a", "b"]) for _ in range(2))).write(str(folder / "taken"))
    write_sources(folder / "sources")


def write_sources(folder):
    """Write what `build-metadata` notes and counts."""
    file = RemoteFile(name="a.bz2", url="https://example.org/a.bz2", date="20260101", size_bytes=3)
    Source(name="a.bz2", url=file.url, date="20260101", size_bytes=3, sha1="a",
           sha256="b").write_note(folder)  # fmt: skip
    Dump(mirror="https://example.org", wiki="de", date="20260101", job="j",
         files=(file,)).write(folder)  # fmt: skip
    publish_json(folder / "sample.json", {"mirror": "https://example.org", "missing": ["x"]})
    lines = "".join(f"de.wikipedia Title_{i} {i} desktop {i} A1\n" for i in range(900))
    (folder / "views").write_text(lines)
    with (folder / "views.parquet").open("wb") as sink:
        filter_views(str(folder / "views"), ["de"], sink)
    with run_writer(folder / "part.words.parquet", WORD_COUNTS) as writer:
        writer.write(pa.table([[1, 2], ["a", "b"], [5, 6]], schema=WORD_COUNTS))
    publish_json(folder / "part.json",
                 {"tally": {"article": 3}, "num_tokens": 9, "num_pair_tokens": 8})  # fmt: skip


def balance(folder, name, overwrite=False, **options):
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / name), quiet=True,
        overwrite=overwrite, options=BalanceOptions(**{"t": 10, "pairs_per_shard": 40, **options}),
    )  # fmt: skip


SOURCES = {
    "a.bz2.source.json": lambda path: read_source(path.with_name("a.bz2")),
    "dewiki-20260101.dump.json": lambda path: read_dump(path.parent, "de"),
    "sample.json": lambda path: read_note(
        path, lambda values: (values["mirror"], values["missing"]), "a sample", "Remove it."),
    "views.parquet": lambda path: (
        num_bad_lines(str(path)), list(StoredViews((str(path),), ("de",)).items())),
    "part.words.parquet": lambda path: list(read_groups(path)),
    "part.json": lambda path: read_counted(path.with_name("part")),
}  # fmt: skip


def read(path):
    """Read a file as its readers do; return what they get."""
    name = str(path)
    if path.parent.name == "sources":
        return SOURCES[path.name](path)
    if name.endswith(".parquet"):
        return artifacts.read_stamp(name), artifacts.read_table(name)
    if name.endswith(".index"):
        unpack_index(storage.map_file(name), name).check()
        return None  # compiled code sees what was written, or there is an error
    if name.endswith((".tar", ".idx")) or "/shards/" in name:
        return check_shard(name.rpartition(".")[0] + ".tar")
    if name.endswith(".html"):
        problems = [p for _, p in verify_tree(str(path.parent)) if p]
        if problems:
            raise ArtifactError(problems[0])
        return None
    if "/runs/" in name and not name.endswith("sums.json"):
        return check_file(name)
    if name.endswith("sums.json"):
        return [check_file(str(path.parent / one)) for one in ("tokenizer.json",)]
    return read_json(name)


def flip(path, content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)


def unnoticed(path, num):
    """Flip bits of a file one after the other; return those that readers take for what was."""
    return flip_bits(path, num)["used"]


def flip_bits(path, num):
    """Flip bits of a file one after the other; return which were noticed, harmless, and used."""
    content, before = path.read_bytes(), read(path)
    rng, found = random.Random(path.name), {"noticed": [], "harmless": [], "used": []}
    ends = [*range(16), *range(8 * len(content) - 16, 8 * len(content))]
    try:
        for bit in ends + [rng.randrange(8 * len(content)) for _ in range(num)]:
            flip(path, content, bit)
            try:
                found["harmless" if read(path) == before else "used"].append(bit)
            except CurateError as error:
                found["noticed"].append(bit)
                assert "\n" not in str(error) and str(path.parent) in str(error)
    finally:
        path.write_bytes(content)
    return found


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_flipped_bit_is_noticed_or_without_effect(workspace, name):
    assert unnoticed(workspace / ARTIFACTS[name], FEW) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ARTIFACTS)
def test_three_hundred_flipped_bits_are_noticed_or_without_effect(workspace, name):
    assert unnoticed(workspace / ARTIFACTS[name], MANY) == []


def test_the_error_names_the_file_and_the_command_that_makes_it_anew(workspace, tmp_path):
    for name, command in (
        ("matched/pairs/00000.parquet", "curate match"),
        ("matched/counts/en.parquet", "curate match"),
        ("balanced/pairs/00000.parquet", "curate balance"),
        ("balanced/probabilities/en.parquet", "curate balance"),
        ("balanced/plan.json", "curate balance"),
        ("metadata/en.parquet", "curate build-metadata"),
    ):
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(workspace, copy)
        path = copy / name
        flip(path, path.read_bytes(), 8 * 70)
        with pytest.raises(ArtifactError, match=f"{name} is damaged.*`{command}") as told:
            read(path)
        with pytest.raises(ArtifactError, match=r"not what was written, of \d+ files: 1"):
            verify_workspace(str(copy))
        assert "\n" not in str(told.value)
    assert verify_workspace(str(workspace))["files"] > 15


def test_what_was_damaged_and_removed_is_made_anew_with_the_same_bytes(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    for name in ("matched/pairs/00000.parquet", "matched/counts/en.parquet",
                 "balanced/pairs/00000.parquet", "balanced/datacard.json"):  # fmt: skip
        (copy / name).unlink()
    match([workspace / "a.parquet"], copy / "metadata", copy / "matched")
    balance(copy, "balanced", output_format="parquet")
    for name in ARTIFACTS.values():
        if not name.startswith(("runs", "sources", "taken")):
            assert (copy / name).read_bytes() == (workspace / name).read_bytes(), name


@pytest.mark.parametrize("name", [
    "matched/parts.parquet", "matched/summary.json", "matched/pairs/00000.parquet",
    "matched/counts/en.parquet", "balanced/pairs/00000.parquet", "balanced/datacard.json",
    "balanced/probabilities/en.parquet",
])  # fmt: skip
def test_a_file_that_is_removed_alone_is_made_anew(workspace, tmp_path, name):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    (copy / name).unlink()
    match([workspace / "a.parquet"], copy / "metadata", copy / "matched")
    balance(copy, "balanced", output_format="parquet")
    assert (copy / name).read_bytes() == (workspace / name).read_bytes()


def test_all_that_is_damaged_is_told_at_once(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    damaged = ("metadata/manifest.json", "matched/summary.json", "balanced/pairs/00000.parquet")
    for name in damaged:
        flip(copy / name, (copy / name).read_bytes(), 8 * 70)
    with pytest.raises(ArtifactError) as told:
        curate.status(verify=True, workspace=str(copy))
    assert all(f"{copy / name}" in str(told.value) for name in damaged)


def test_a_damaged_index_names_the_workspace_in_what_is_to_be_typed(workspace, tmp_path):
    copy = tmp_path / "a workspace"
    shutil.copytree(workspace, copy)
    (copy / "metadata/en.index").write_bytes(b"no index")
    with on_command_line(), pytest.raises(ArtifactError, match=r"--reindex") as told:
        curate.match(str(workspace / "a.parquet"), workspace=str(copy), lang="en", overwrite=True)
    assert f"curate build-metadata --reindex -w '{copy}'" in str(told.value)


def test_balance_and_train_stop_at_a_flipped_bit_and_leave_what_was_there(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    before = (copy / "balanced/pairs/00000.parquet").read_bytes()
    path = copy / "matched/pairs/00000.parquet"
    flip(path, path.read_bytes(), 8 * 100)
    with pytest.raises(ArtifactError, match=r"matched/pairs/00000.parquet is damaged"):
        balance(copy, "balanced", overwrite=True, output_format="parquet", t=11)
    assert (copy / "balanced/pairs/00000.parquet").read_bytes() == before
    tar = str(copy / "tars/shards/00000.tar")
    expected = file_sum(tar)["xxh3_128"]
    assert index_shard(tar, expected=expected).is_whole
    content = Path(tar).read_bytes()
    flip(Path(tar), content, 8 * 1100)
    with pytest.raises(ArtifactError, match=r"00000.tar is damaged: its checksum differs"):
        index_shard(tar, expected=expected)


def test_a_shard_that_is_cut_short_does_not_count_as_done(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace, copy)
    whole = {p.name: p.read_bytes() for p in (copy / "tars/shards").iterdir()}
    for name in ("00000.tar", "00001.idx"):
        os.truncate(copy / "tars/shards" / name, len(whole[name]) // 20)
    balance(copy, "tars", output_format="shards")
    assert {p.name: p.read_bytes() for p in (copy / "tars/shards").iterdir()} == whole


def test_counts_that_cannot_be_are_refused_where_they_are_read(workspace, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(workspace / "matched", copy)
    plan = MatchedPlan.read(str(copy))
    path = plan.counts_path("en")
    table, stamp = artifacts.read_table(path), artifacts.read_stamp(path)
    count = table.column("count").to_numpy().copy()
    for at, value, told in ((0, 2**62, "counted 4611686018427387904 times"),
                            (0, count[0] + 1, "the matches to"),
                            (1, 2**64 - 1, "counted")):  # fmt: skip
        changed = count.copy()
        changed[at] = value
        other = table.set_column(2, "count", pa.array(changed))
        artifacts.write_table(path, other, stamp, plan.parameters["metadata"]["en"])
        with pytest.raises(ArtifactError, match=told):
            load_counts(plan)
        with pytest.raises(ArtifactError, match="counts/en.parquet is damaged"):
            make_card(matched=str(copy), balanced=str(workspace / "balanced"), quiet=True)


def test_a_file_without_a_checksum_is_refused_where_one_has_to_be(tmp_path):
    (tmp_path / "plan.json").write_text('{"a": 1}')
    with pytest.raises(ArtifactError, match="has no checksum"):
        read_json(str(tmp_path / "plan.json"))
    write_json(str(tmp_path / "plan.json"), {"a": (1, 2), "b": {3: None}})
    assert read_json(str(tmp_path / "plan.json")) == {"a": [1, 2], "b": {"3": None}}
    (tmp_path / "tokenizer.json").write_text("{}")
    check_listed(str(tmp_path), "tokenizer.json")  # somebody else's
    with pytest.raises(ArtifactError, match=r"sums.json has no checksum of it"):
        check_listed(str(tmp_path), "tokenizer.json", must=True)
