import os

import pyarrow as pa
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.files import storage
from curate.files.patterns import expand
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.store import artifacts
from tests.pipelines.helpers import WORDS, contents, match, texts, write_metadata, write_pairs


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a" / "file.txt"
    with pytest.raises(RuntimeError), storage.publish(str(target)) as file:
        file.write(b"half")
        raise RuntimeError
    assert not list(target.parent.iterdir())
    with storage.publish(str(target)) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), storage.publish(str(target)) as file:
        file.write(b"new")
        raise RuntimeError
    assert target.read_bytes() == b"old" and os.listdir(target.parent) == ["file.txt"]


def test_the_stages_work_on_urls_and_give_the_bytes_of_local_files(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    a = write_pairs(tmp_path / "a.parquet", texts(50))
    match([a], metadata, tmp_path / "matched")
    options = BalanceOptions(t=9)
    matched = str(tmp_path / "matched")
    balance_pairs(matched=matched, output=str(tmp_path / "b"), options=options, quiet=True)
    url = "memory://workspace/balanced"
    balance_pairs(matched=matched, output=url, options=options, quiet=True)
    names = [n for n in contents(tmp_path / "b") if n.endswith((".parquet", ".json", ".md"))]
    assert len(names) == 5
    for name in names:
        with storage.open_read(f"{url}/{name}") as file:
            assert file.read() == (tmp_path / "b" / name).read_bytes(), name


def test_matches_and_rejects_on_a_url_are_those_of_local_files(tmp_path):
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    a = write_pairs(tmp_path / "a.parquet", [*texts(50), None])
    match([a], metadata, tmp_path / "m", max_bad=0.5)
    url = "memory://workspace/matched"
    match([a], metadata, url, max_bad=0.5)
    for name in ("pairs/00000.parquet", "rejected/00000.parquet", "counts/en.parquet"):
        with storage.open_read(f"{url}/{name}") as file:
            assert file.read() == (tmp_path / "m" / name).read_bytes(), name


def test_an_unknown_protocol_is_an_error():
    with pytest.raises(UsageError, match="nope://x: no file system"):
        storage.exists("nope://x")


def test_patterns_folders_and_files_are_expanded_once_each(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.jsonl").write_text("")
    found = expand([f"{tmp_path}/*.jsonl", str(tmp_path), f"{tmp_path}/a.jsonl"])
    assert found == [f"{tmp_path}/{n}.jsonl" for n in "abc"]
    with pytest.raises(InputError, match="no such file"):
        expand([f"{tmp_path}/*.tar"])


def test_artifacts_of_another_schema_version_or_of_nobody_are_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "a.parquet")
    artifacts.write_table(path, pa.table({"a": [1]}), {"x": 1}, "hash")
    assert artifacts.read_stamp(path) == {"x": 1}
    monkeypatch.setattr(artifacts, "SCHEMA_VERSION", "99")
    with pytest.raises(ArtifactError, match="schema version is 2, expected 99"):
        artifacts.read_stamp(path)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="it is cut off, or no Parquet file"):
        artifacts.read_stamp(str(tmp_path / "cut.parquet"))


def test_a_pipe_is_no_file_and_the_error_says_why(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe, which can be read only once"):
        storage.open_read(str(tmp_path / "pipe"))
