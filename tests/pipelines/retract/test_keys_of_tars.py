"""An id that is the key of a tar's sample is retracted from that tar, and from no other."""

import pytest

from curate.errors import ArtifactError
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.retract.stage import retract_pairs
from tests.pipelines.helpers import match, png, read_pairs, write_metadata
from tests.pipelines.tar_helpers import write_tar

KEYS = ("000", "001")


@pytest.fixture
def metadata(tmp_path):
    return write_metadata(tmp_path / "metadata", {"en": ["dog"]})


def shard(path, word, *, url=True, extra=()):
    members = {}
    for key in KEYS:
        about = {"url": f"http://a.example/{word}{key}"} if url else {}
        members |= {f"{key}.png": png((9, 9, 9)), f"{key}.txt": f"a dog {word}{key}",
                    f"{key}.json": about}  # fmt: skip
    return write_tar(path, {**members, **dict(extra)})


def retract(folder, *names, **options):
    (folder / "list.txt").write_text("\n".join(names))
    return retract_pairs(
        str(folder / "list.txt"), matched=str(folder / "out"), balanced=[],
        metadata=str(folder / "metadata"), quiet=True, **options,
    )  # fmt: skip


def found(folder):
    pairs = read_pairs(folder / "out")
    return set(zip(*(pairs.column(n).to_pylist() for n in ("pair_id", "text")), strict=True))


@pytest.mark.parametrize("url", [True, False])
def test_another_tar_keeps_its_pair_of_the_same_key(tmp_path, metadata, url):
    s0 = shard(tmp_path / "s0.tar", "x", url=url)
    s1 = shard(tmp_path / "s1.tar", "y", url=url)
    match([s0], metadata, tmp_path / "out")
    assert retract(tmp_path, "001")["removed"] == 1
    assert found(tmp_path) == {("000", "a dog x000")}
    summary = match([s1], metadata, tmp_path / "out", overwrite=True)
    assert "retracted" not in summary["dropped"] and len(found(tmp_path)) == 2
    summary = match([s0], metadata, tmp_path / "out", overwrite=True)
    assert summary["dropped"]["retracted"] == 1
    match([s0, s1], metadata, tmp_path / "out")  # ids change, and what was retracted stays out
    both = {("s0/000", "a dog x000"), ("s1/000", "a dog y000"), ("s1/001", "a dog y001")}
    assert found(tmp_path) == both
    assert retract(tmp_path, "001")["already_retracted"] == 1 and found(tmp_path) == both
    assert retract(tmp_path, "s1/001")["removed"] == 1
    assert found(tmp_path) == both - {("s1/001", "a dog y001")}
    match([s1], metadata, tmp_path / "out", overwrite=True)
    assert found(tmp_path) == {("000", "a dog y000")}


@pytest.mark.parametrize("url", [True, False])
def test_a_tar_that_is_written_anew_does_not_bring_a_pair_back(tmp_path, metadata, url):
    match([shard(tmp_path / "s0.tar", "x", url=url)], metadata, tmp_path / "out")
    retract(tmp_path, "001")
    again = shard(tmp_path / "t.tar", "x", url=url, extra=[("9.txt", "a dog"), ("9.png", b"x")])
    summary = match([again], metadata, tmp_path / "out", overwrite=True)
    assert summary["dropped"]["retracted"] == 1


def test_a_uid_of_the_json_names_its_pair_in_every_tar(tmp_path, metadata):
    extra = {"u.txt": "a dog", "u.png": png((9, 9, 9)), "u.json": {"uid": "mine"}}
    match([shard(tmp_path / "s0.tar", "x", extra=extra)], metadata, tmp_path / "out")
    retract(tmp_path, "mine")
    assert Tombstones.read(str(tmp_path / "out")).pair_ids.to_pylist() == ["mine"]
    extra["u.txt"] = "another dog"
    other = shard(tmp_path / "s1.tar", "y", extra=extra)
    match([other], metadata, tmp_path / "out", overwrite=True)
    assert not any(pair_id == "mine" for pair_id, _ in found(tmp_path))


def test_ids_of_no_known_tar_refuse_other_names_and_leave_what_is_whole(tmp_path, metadata):
    s0, s1 = shard(tmp_path / "s0.tar", "x"), shard(tmp_path / "s1.tar", "y")
    match([s0], metadata, tmp_path / "out")
    retract(tmp_path, "002", ignore_missing=True)
    before = found(tmp_path)
    with pytest.raises(ArtifactError, match=r"would come back.*another --output"):
        match([s0, s1], metadata, tmp_path / "out")
    assert match([s0], metadata, tmp_path / "out")["matched"] == 2 and found(tmp_path) == before
