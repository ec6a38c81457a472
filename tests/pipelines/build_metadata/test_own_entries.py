"""`build-metadata --entries`: alone, with the sources, and put to what is built."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.metadata import build as recipe
from curate.pipelines.build_metadata import task as build_task
from tests.metadata.mirror_server import MirrorServer
from tests.pipelines.build_metadata.test_build_metadata import build, write_dump
from tests.pipelines.helpers import contents, match, read_pairs, write_pairs
from tests.pipelines.mirror_world import build as build_from_server
from tests.pipelines.mirror_world import put_up

CURATE = Path(sys.executable).with_name("curate")


@pytest.fixture
def folder(tmp_path):
    write_dump(tmp_path / "dumps", "de", [("Roter Hund", "Ein roter Hund. " * 9)])
    (tmp_path / "mine.txt").write_text("Räuber Hotzenplotz\nHund\n\nA 380\n", "utf-8")
    return tmp_path


def own(folder, **options):
    values = {"kinds": "unigram", "entries": str(folder / "mine.txt"), **options}
    return build(folder, **values)


def found(folder, lang="de", output="metadata"):
    return pq.read_table(folder / output / f"{lang}.parquet").column("entry").to_pylist()[100:]


def test_the_command_takes_a_list_alone_and_needs_no_server(folder):
    command = [CURATE, "build-metadata", "--lang", "en", "--sources", "none", "--entries",
               folder / "mine.txt", "-w", folder / "w"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "en: 3 of 4 own entries added; left out: empty 1\n"
    metadata = folder / "w/metadata"
    manifest = json.loads((metadata / "manifest.json").read_text())
    assert manifest["languages"]["en"]["sources"] == {"number": 100, "title": 3}
    assert manifest["languages"]["en"]["made_from"]["own_entries"]["file"] == "mine.txt"
    pairs = write_pairs(folder / "a.parquet", ["the Räuber Hotzenplotz", "an A 380, a Hund"])
    match([pairs], metadata, folder / "matched")
    assert found(folder / "w", "en") == ["A 380", "Hund", "Räuber Hotzenplotz"]
    assert read_pairs(folder / "matched").column("entry_ids").to_pylist() == [[102], [100, 101]]


def test_a_list_is_added_to_the_sources_and_ids_stay(folder):
    build(folder, kinds="unigram", output="plain")
    own(folder)
    assert found(folder) == [*found(folder, output="plain"), "A 380", "Räuber Hotzenplotz"]


def test_a_list_put_to_what_is_built_counts_nothing_and_gives_the_same_bytes(folder, monkeypatch):
    own(folder, output="once")
    build(folder, kinds="unigram")
    plain = contents(folder / "metadata")
    with pytest.raises(
        ArtifactError, match="(?s)own_entries.*With --overwrite only your own entries"
    ):
        own(folder)
    monkeypatch.setattr(build_task, "build_language", None)  # would be called to build anew
    own(folder, overwrite=True)
    assert contents(folder / "metadata") == contents(folder / "once")
    own(folder)  # done already
    (folder / "mine.txt").write_text("Pippi\n")
    with pytest.raises(ArtifactError, match="own_entries"):
        own(folder)
    own(folder, overwrite=True)
    assert found(folder)[-1] == "Pippi" and "A 380" not in found(folder)
    build(folder, kinds="unigram", overwrite=True)
    assert contents(folder / "metadata") == plain
    monkeypatch.setattr(build_task, "build_language", recipe.build_language)
    build(folder, kinds="unigram", overwrite=True)  # nothing differs: all of it is built anew
    assert contents(folder / "metadata") == plain


def test_a_list_put_to_what_is_built_needs_no_dropped_dump(folder):
    with MirrorServer() as server:
        put_up(server, "de", [("Roter Hund", "Ein roter Hund. " * 9), ("See", "Der See. " * 9)])
        options = {"kinds": "unigram", "changed": {"keep": False}, "dumps": str(folder / "fetched")}
        build_from_server(server, folder, "de", **options)
        before = len(server.seen)
        build_from_server(server, folder, "de", **options, overwrite=True,
                          entries=str(folder / "mine.txt"))  # fmt: skip
        assert found(folder)[-1] == "Räuber Hotzenplotz" and len(server.seen) == before


def test_each_language_may_have_a_list_of_its_own(folder):
    write_dump(folder / "dumps", "ltg", [("Rūma", "Rūma ir pylsāta. " * 9)])
    (folder / "own-de.txt").write_text("Pippi")
    (folder / "own-sw.txt").write_text("simba")
    pattern = str(folder / "own-{lang}.txt")
    manifest = own(folder, lang="all", entries=pattern)
    assert set(manifest["languages"]) == {"de", "ltg", "sw", "other"}
    assert found(folder, "sw") == ["simba"] and found(folder)[-1] == "Pippi"
    assert "own_entries" not in manifest["languages"]["ltg"]["made_from"]
    with pytest.raises(InputError, match=r"own-ltg\.txt: there is no such file"):
        own(folder, lang="de,ltg", entries=pattern)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kinds": "none", "entries": None}, UsageError, "--sources none needs --entries"),
        ({"kinds": "none", "lang": "all"}, InputError, "name the languages, or have {lang}"),
        ({"entries": "nowhere.txt"}, InputError, r"nowhere\.txt: there is no such file"),
        ({"kinds": "none", "text": "?\n"}, InputError, r"mine\.txt: no usable entry among 1"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(folder, options, error, message):
    (folder / "mine.txt").write_text(options.pop("text", "Pippi\n"))
    with pytest.raises(error, match=message):
        own(folder, **options)
    assert not (folder / "metadata/manifest.json").exists()


def test_a_dry_run_names_the_list(folder):
    plan = own(folder, kinds="none", dry_run=True)
    assert plan["de"] == f"own entries of {folder / 'mine.txt'}"
    assert not (folder / "metadata").exists()
