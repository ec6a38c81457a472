"""All kept pairs mixed: which shard a pair is in, in what order, and what a stop leaves."""

import json
import tarfile

import numpy as np
import pyarrow as pa
import pytest

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.shards import mixed
from curate.pipelines.shards.options import ShardOptions, parse_window
from curate.pipelines.shards.runs import Draws, Run, checksum, shard_bounds, write_run
from curate.pipelines.shards.spool import Spool
from curate.pipelines.shards.windows import order_draws
from tests.pipelines.helpers import contents, match, png, write_metadata, write_pairs

NUM = 300
PER_SHARD = 30


def write_input(path, first, num, word):
    images = [png((i % 251, i // 251, 7)) for i in range(first, first + num)]
    return write_pairs(path, [f"a {word} thing"] * num, first=first, image=images)


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    """Pairs sorted by what they are of, in three files."""
    folder = tmp_path_factory.mktemp("mixed")
    metadata = write_metadata(folder / "m", {"en": ["red", "blue"]})
    inputs = [write_input(folder / "a.parquet", 0, 150, "red"),
              write_input(folder / "b.parquet", 150, 100, "blue"),
              write_input(folder / "c.parquet", 250, 50, "blue")]  # fmt: skip
    match(inputs, metadata, folder / "matched")
    return folder / "matched"


def balance(matched, output, *, workers=1, window=None, per_shard=PER_SHARD):
    return balance_pairs(
        matched=str(matched), output=str(output), workers=workers, quiet=True,
        options=BalanceOptions(
            t=1000, pairs_per_shard=per_shard, shards=ShardOptions(window_shards=window)
        ),
    )  # fmt: skip


def samples(output):
    """Return the texts of each shard, by key, in order."""
    found = []
    for path in sorted((output / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            texts = {m.name[:-4]: tar.extractfile(m).read() for m in tar if m.name[-4:] == ".txt"}
        found.append(texts)
    return found


def test_shards_of_a_sorted_input_have_of_everything(tmp_path, matched):
    balance(matched, tmp_path / "all")
    balance(matched, tmp_path / "window", window=4)
    found, windowed = samples(tmp_path / "all"), samples(tmp_path / "window")
    assert [len(shard) for shard in found] == [PER_SHARD] * (NUM // PER_SHARD)
    # Of 30 draws from 150 red and 150 blue ones, fewer than 5 of a colour have a chance of 2e-5.
    for shard in found:
        num_red = sum(b"red" in text for text in shard.values())
        assert 5 <= num_red <= PER_SHARD - 5
    assert not any(b"red" in text for text in windowed[-1].values())
    ids = [key for shard in found for key in shard]
    draws = order_draws(pa.array(ids), 0)
    assert np.all(np.diff(draws) > 0)
    assert not (tmp_path / "all/shards" / mixed.RUNS).exists()


def test_a_pairs_shard_does_not_depend_on_the_files_it_came_in(tmp_path, matched):
    metadata = write_metadata(tmp_path / "m", {"en": ["red", "blue"]})
    pieces = ((150, 150, "blue"), (0, 70, "red"), (70, 80, "red"))
    inputs = [write_input(tmp_path / f"{word}{first}.parquet", first, num, word)
              for first, num, word in pieces]  # fmt: skip
    match(inputs, metadata, tmp_path / "matched")
    balance(matched, tmp_path / "a")
    balance(tmp_path / "matched", tmp_path / "b", workers=2)
    tars = [sorted((tmp_path / n / "shards").glob("*.tar")) for n in "ab"]
    assert [p.read_bytes() for p in tars[0]] == [p.read_bytes() for p in tars[1]]


def test_shards_are_the_same_for_any_workers_and_after_a_loss(tmp_path, matched):
    balance(matched, tmp_path / "a")
    balance(matched, tmp_path / "b", workers=2)
    before = contents(tmp_path / "a")
    assert before == contents(tmp_path / "b")
    for name in ("00003.tar", "00004.json", "00006.idx"):
        (tmp_path / "a" / "shards" / name).unlink()
    balance(matched, tmp_path / "a")
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize("where", ["_write_run", "_write_shard"])
def test_a_stopped_command_goes_on_with_what_is_missing(tmp_path, matched, monkeypatch, where):
    balance(matched, tmp_path / "whole")
    real, calls = getattr(mixed, where), []

    def stops(worker, task):
        calls.append(task)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(worker, task)

    with monkeypatch.context() as patch:
        patch.setattr(mixed, where, stops)
        with pytest.raises(KeyboardInterrupt):
            balance(matched, tmp_path / "stopped")
    runs = tmp_path / "stopped/shards" / mixed.RUNS
    there = {path: path.stat().st_ino for path in runs.glob("*.run")}
    assert len(there) == (2 if where == "_write_run" else 3)
    removed = []
    real_remove = storage.remove
    monkeypatch.setattr(
        storage, "remove",
        lambda path: removed.append({p: p.stat().st_ino for p in runs.glob("*.run")})
        or real_remove(path),
    )  # fmt: skip
    balance(matched, tmp_path / "stopped")
    assert any(there.items() <= found.items() for found in removed)  # none was written again
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_run_that_was_damaged_is_noticed(tmp_path):
    path = str(tmp_path / "a.run")
    pieces, draws = [b"one", b"", b"three"], np.array([0.7, 0.1, 0.4])
    with Spool(str(tmp_path)) as spool:
        places = [spool.add(piece) for piece in pieces]
        write_run(path, draws, places, [checksum(piece) for piece in pieces], spool)
    assert list(Run(path).between(0.0, 1.0)) == [(0.1, b""), (0.4, b"three"), (0.7, b"one")]
    assert list(Run(path).between(0.4, 0.7)) == [(0.4, b"three")]
    content = bytearray((tmp_path / "a.run").read_bytes())
    content[-1] ^= 1
    (tmp_path / "a.run").write_bytes(content)
    assert len(list(Run(path).between(0.0, 0.5))) == 2
    with pytest.raises(ArtifactError, match="a.run: not what was written.*Remove the file"):
        list(Run(path).between(0.5, 1.0))


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
@pytest.mark.parametrize("per_shard", [1, 9, 100, 1000])
def test_bounds_give_every_shard_but_the_last_its_size(tmp_path, at_once, per_shard):
    rng = np.random.default_rng(per_shard)
    runs = []
    for number, num in enumerate((40, 0, 73)):
        path = tmp_path / f"{number}.draws"
        path.write_bytes(np.sort(rng.random(num)).tobytes())
        runs.append(Draws(str(path), 0, num))
    bounds = shard_bounds(runs, per_shard, at_once)
    sizes = [sum(len(run.between(a, b)) for run in runs)
             for a, b in zip(bounds, bounds[1:], strict=False)]  # fmt: skip
    full, rest = divmod(113, per_shard)
    assert sizes == [per_shard] * full + [rest] * (rest > 0)


def test_few_pairs_are_mixed_in_one_pass(tmp_path, matched):
    balance(matched, tmp_path / "a", per_shard=75)
    balance(matched, tmp_path / "b", per_shard=75, window=4)
    tars = [sorted((tmp_path / n / "shards").glob("*.tar")) for n in "ab"]
    assert len(tars[0]) == 4
    assert [p.read_bytes() for p in tars[0]] == [p.read_bytes() for p in tars[1]]
    card = json.loads((tmp_path / "a/datacard.json").read_text())
    assert "--shuffle-shards all --image-format jpg" in card["command"]


def test_windows_are_all_or_a_number():
    assert (parse_window("all"), parse_window("0"), parse_window("12")) == (None, 0, 12)
    for text in ("-1", "some", ""):
        with pytest.raises(UsageError, match="expected all, or a number from 0 on"):
            parse_window(text)
