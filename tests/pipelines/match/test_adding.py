"""What is added to matches that are whole is judged before it is part of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import BadShareError, InputError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.match import stage as match_module
from curate.pipelines.retract.stage import retract_pairs
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def metadata(tmp_path):
    return write_metadata(tmp_path / "metadata", {"en": WORDS})


@pytest.fixture
def files(tmp_path):
    return [write_pairs(tmp_path / f"{i}.parquet", texts(60, i), first=60 * i) for i in range(4)]


def whole(folder):
    """The files of what is whole: what is to be added lies beside them."""
    return {name: sha for name, sha in contents(folder).items() if not name.startswith(".adding/")}


def balance(folder):
    return balance_pairs(
        matched=str(folder / "out"), output=str(folder / "balanced"), quiet=True,
        options=BalanceOptions(t=10), overwrite=True,
    )  # fmt: skip


def test_too_many_bad_records_leave_what_is_whole_as_it_was(tmp_path, metadata, files):
    out, bad = tmp_path / "out", tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a dog"}\nno json\n' * 9)
    match(files[:1], metadata, out)
    before, kept = whole(out), balance(tmp_path)["total"]["kept"]
    for _ in range(2):
        with pytest.raises(BadShareError, match=r"\.adding/rejected/00001"):
            match([bad, files[1]], metadata, out)
        assert whole(out) == before and balance(tmp_path)["total"]["kept"] == kept
    assert match(files[:1], metadata, out)["inputs_added"] == 0 and whole(out) == before
    done = {path: path.stat().st_mtime_ns for path in (out / ".adding/pairs").iterdir()}
    assert done
    plan = match([bad, files[1]], metadata, out, dry_run=True)
    assert plan["parts_to_do"] == plan["parts"] - 1 - len(done)
    bad.write_text('{"text": "a dog"}\n' * 9)
    match([bad, files[1]], metadata, out)
    for step in ([files[0]], [bad, files[1]]):
        match(step, metadata, tmp_path / "plain")
    assert contents(out) == contents(tmp_path / "plain")


def test_a_larger_share_of_bad_records_takes_what_was_matched(
    tmp_path, metadata, files, monkeypatch
):
    out, bad = tmp_path / "out", tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a dog"}\nno json\n' * 9)
    match(files[:1], metadata, out)
    with pytest.raises(BadShareError):
        match([bad], metadata, out)
    monkeypatch.setattr(match_module, "match_part", None)  # nothing is matched again
    assert match([bad], metadata, out, max_bad=1.0)["inputs"] == 2
    assert not (out / ".adding").exists()


def test_ids_of_others_are_refused_and_change_nothing(tmp_path, metadata, files):
    out = tmp_path / "out"
    uids = [f"{n}" for n in range(9)]
    other = write_pairs(tmp_path / "b.parquet", texts(9, 1), first=9, uid=uids)
    first = write_pairs(tmp_path / "a.parquet", texts(9), uid=uids)
    match([first], metadata, out)
    before = whole(out)
    with pytest.raises(InputError, match="have an id that a pair before them has"):
        match([other], metadata, out)
    assert whole(out) == before and match([first], metadata, out)["matched"] == 9
    assert match([files[1]], metadata, out)["inputs"] == 2  # what was refused is not in the way


def test_a_retraction_forgets_what_was_to_be_added(tmp_path, metadata, files):
    out, bad = tmp_path / "out", tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a dog"}\nno json\n' * 9)
    match(files[:1], metadata, out)
    with pytest.raises(BadShareError):
        match([bad], metadata, out)
    (tmp_path / "list.txt").write_text(read_pairs(out).column("pair_id")[0].as_py())
    retract_pairs(
        str(tmp_path / "list.txt"),
        matched=str(out),
        metadata=str(metadata),
        balanced=[],
        quiet=True,
    )
    assert not (out / ".adding").exists()
    match([bad], metadata, out, max_bad=1.0)
    assert len(read_pairs(out)) == 60 - 1 + 9


SCRIPT = """
import os, sys
from pathlib import Path
from curate.files import storage
from tests.pipelines.helpers import match
left = [int(sys.argv[1])]
def dying(function):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)
        return function(*arguments, **options)
    return call
for name in ("move_or_copy", "remove", "write_json"):
    setattr(storage, name, dying(getattr(storage, name)))
os.replace = dying(os.replace)
os.rename = dying(os.rename)
match([Path(p) for p in sys.argv[4:]], Path(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_killed_at_every_step_the_set_is_the_old_one_or_the_new_one(tmp_path, metadata, files):
    out, plain = tmp_path / "out", tmp_path / "plain"
    match(files[:1], metadata, out)
    match(files[:1], metadata, plain)
    old = whole(out)
    match(files, metadata, plain)
    steps = 0
    for step in range(0, 200, 3):
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            str(step),
            str(metadata),
            str(out),
            *map(str, files),
        ]
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=120)
        if done.returncode == 0:
            break
        assert done.returncode == -9
        steps += 1
        if not (out / ".adding/swap.json").exists() and (out / ".adding").exists():
            assert whole(out) == old
    assert steps > 3 and contents(out) == contents(plain)
