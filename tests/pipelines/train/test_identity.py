"""What a run is made of: found out without reading shards, and told when it is another."""

import json
import shutil
from pathlib import Path

import pytest

from curate.errors import ArtifactError
from curate.files.sealed_json import write_json
from curate.pipelines.train import shard_facts
from curate.pipelines.train.identity import difference, with_lost
from curate.pipelines.train.shard_facts import MISSING, ShardFacts, take_stock
from curate.pipelines.train.stage import TrainExtras, train_model
from curate.training.loop.config import TrainConfig
from curate.training.loop.trainer import Trainer
from tests.pipelines.train_helpers import train, write_train_workspace

HUGE = 40_000_000_000  # bytes of a file without blocks


def bytes_read():
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def huge(path, content=b""):
    with path.open("wb") as file:
        file.write(content)
        file.truncate(HUGE)


def write_set(folder):
    """A shard of each kind: with our note, img2dataset's statistics, an index, nothing."""
    for name in ("ours", "theirs", "indexed", "bare"):
        huge(folder / f"{name}.tar", name.encode())
    about = {"size_bytes": HUGE, "xxh3_128": "0" * 32}
    write_json(
        str(folder / "ours.json"), {"sha256": "ab" * 32, "images": 7, "tar": about, "index": about}
    )
    (folder / "theirs_stats.json").write_text(json.dumps({"count": 9, "successes": 5}))
    (folder / "indexed.idx").write_text("v1.2 3\n")
    return sorted(str(path) for path in folder.glob("*.tar"))


def test_shards_are_known_without_reading_them(tmp_path):
    tars = write_set(tmp_path)
    before = bytes_read()
    facts = {one.name: one for one in take_stock(tars)}
    assert bytes_read() - before < 1_000_000 < HUGE
    assert facts["ours.tar"] == ShardFacts("ours.tar", "ab" * 32, "0" * 32, 7)
    assert f"{HUGE} bytes, statistics" in facts["theirs.tar"].identity
    assert f"{HUGE} bytes, index" in facts["indexed.tar"].identity
    assert f"{HUGE} bytes, pieces" in facts["bare.tar"].identity
    samples = [facts[f"{name}.tar"].samples for name in ("theirs", "indexed", "bare")]
    assert samples == [5, 3, None]


def test_what_is_known_is_not_asked_again_until_a_listing_differs(tmp_path, monkeypatch):
    tars, kept = write_set(tmp_path), tmp_path / "kept"
    monkeypatch.setattr(shard_facts, "_WORTH_KEEPING", 4)
    before = take_stock(tars, kept_in=str(kept))
    asked = []
    facts_of = shard_facts._facts
    monkeypatch.setattr(
        shard_facts, "_facts", lambda tar, listing: asked.append(tar) or facts_of(tar, listing)
    )
    assert take_stock(tars, kept_in=str(kept)) == before and asked == []
    (tmp_path / "theirs_stats.json").write_text(json.dumps({"count": 9, "successes": 6}))
    found = {one.name: one for one in take_stock(tars, kept_in=str(kept))}
    assert asked == [str(tmp_path / "theirs.tar")] and found["theirs.tar"].samples == 6
    [file] = kept.iterdir()
    file.write_text(file.read_text().replace("theirs.tar", "others.tar"))
    asked.clear()
    assert take_stock(tars, kept_in=str(kept)) == list(found.values())
    assert sorted(asked) == tars  # what is damaged is not believed


def test_an_index_of_megabytes_is_not_read_to_know_a_shard(tmp_path):
    huge(tmp_path / "0.tar")
    (tmp_path / "0.idx").write_text("v1.2 10000\n" + "jpg 512 9 a.jpg\n" * 100_000)
    before = bytes_read()
    [found] = take_stock([str(tmp_path / "0.tar")])
    assert bytes_read() - before < 200_000 and found.samples == 10_000


def test_a_copy_elsewhere_and_later_is_the_same_set(tmp_path):
    tars = write_set(tmp_path)
    before = take_stock(tars)
    for path in [*tmp_path.iterdir()]:
        path.touch()
    assert take_stock(tars) == before and difference(before, take_stock(tars)) == []


@pytest.mark.parametrize(
    "name, change",
    [
        ("bare.tar", lambda path: huge(path, b"other")),
        ("bare.tar", lambda path: path.write_bytes(b"short")),
        ("theirs.tar", lambda path: path.write_bytes(b"short")),
        ("theirs_stats.json", lambda path: path.write_text('{"count": 8}')),
        ("indexed.idx", lambda path: path.write_text("v1.2 4\n")),
    ],
)
def test_what_is_another_is_noticed(tmp_path, name, change):
    tars = write_set(tmp_path)
    before = take_stock(tars)
    change(tmp_path / name)
    shard = name.replace("_stats.json", ".tar").replace(".idx", ".tar")
    assert difference(before, take_stock(tars)) == [f"another content: {shard}"]


def test_a_shard_of_ours_of_another_size_is_damaged(tmp_path):
    tars = write_set(tmp_path)
    (tmp_path / "ours.tar").write_bytes(b"cut")
    with pytest.raises(ArtifactError, match=r"ours\.tar is damaged: it has 3 bytes, expected 40"):
        take_stock(tars)


def test_a_shard_whose_statistics_alone_are_there_is_missing(tmp_path):
    tars = write_set(tmp_path)
    (tmp_path / "theirs.tar").unlink()
    facts = {one.name: one for one in take_stock(tars)}
    assert facts["theirs.tar"] == ShardFacts("theirs.tar", MISSING, samples=5)
    known = [ShardFacts("theirs.tar", "x", None, 5)]
    assert difference(known, [facts["theirs.tar"]]) == ["not there any more: theirs.tar"]
    assert with_lost(known, [facts["theirs.tar"]]) == known
    with pytest.raises(ArtifactError, match="of one name lie in several folders"):
        with_lost(known * 2, known)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_train_workspace(tmp_path_factory.mktemp("identity"))


def begun(workspace, folder, monkeypatch):
    """A run on a copy of the shards that was killed at its fifteenth step."""
    shutil.copytree(workspace / "balanced/shards", folder / "balanced/shards")
    shutil.copy(workspace / "balanced/datacard.json", folder / "balanced")
    shutil.copy(workspace / "tiny.json", folder)
    step = Trainer.step

    def failing(self, batch):
        if self.step_number == 15:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "step", failing)
        train(folder, "run")
    return sorted((folder / "balanced/shards").glob("*.tar"))


def test_a_run_on_other_shards_says_which_are_others(workspace, tmp_path, monkeypatch):
    tars = begun(workspace, tmp_path, monkeypatch)
    shutil.copy(tars[0], tars[0].with_name("zzz.tar"))
    with pytest.raises(
        ArtifactError, match=r"begun with other shards:\n  new: zzz\.tar\nGive anot"
    ):
        train(tmp_path, "run")


def test_a_run_that_lost_a_shard_goes_on_when_it_is_told_so(workspace, tmp_path, monkeypatch):
    tars = begun(workspace, tmp_path, monkeypatch)
    for suffix in (".tar", ".json", ".idx"):
        tars[1].with_suffix(suffix).unlink()
    with pytest.raises(ArtifactError, match=rf"any more: {tars[1].name}\n.*--allow-lost"):
        train(tmp_path, "run")
    card = train(tmp_path, "run", extras=TrainExtras(allow_lost=True))
    assert card["skipped"]["missing_sample"] >= 40 and card["num_shards"] == len(tars)
    # Another change beside is still one.
    shutil.copy(tars[0], tars[0].with_name("zzz.tar"))
    with pytest.raises(ArtifactError, match=r"begun with other shards:\n  new: zzz\.tar"):
        train(tmp_path, "run", extras=TrainExtras(allow_lost=True))


def test_a_dry_run_looks_at_the_shards_too(workspace):
    found = train_model(
        shards=str(workspace / "balanced/shards"), output=str(workspace / "dry"),
        model=str(workspace / "tiny.json"), config=TrainConfig(steps=5, warmup_steps=1),
        device="cpu", dry_run=True, quiet=True,
    )  # fmt: skip
    assert found["shards"] == 3 and not (workspace / "dry").exists()
