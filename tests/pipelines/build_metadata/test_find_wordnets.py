"""WordNets of `build-metadata`: at hand, not at hand, and what a dry run says of all sources."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nltk
import pyarrow.parquet as pq
import pytest

from curate.errors import InputError
from curate.pipelines.build_metadata.find_sources import SourceOptions
from tests.conftest import ROOT
from tests.metadata.mirror_server import MirrorServer
from tests.pipelines.build_metadata.test_build_metadata import build, write_dump
from tests.pipelines.mirror_world import build as build_from_server
from tests.pipelines.mirror_world import options

CURATE = Path(sys.executable).with_name("curate")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A Danish WordNet, German and Danish dumps, and nltk without data and network."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    monkeypatch.setattr(nltk, "download", lambda name, **_: pytest.fail(f"{name} is fetched"))
    (tmp_path / "wn").mkdir()
    (tmp_path / "wn/wn-data-dan.tab").write_text("00000001-n\tlemma\thund\n")
    write_dump(tmp_path / "dumps", "de", [("Hund", "Ein roter Hund. " * 9)])
    write_dump(tmp_path / "dumps", "fr", [("Chien", "Le chien rouge. " * 9)])
    return tmp_path


def run(folder, *arguments):
    environment = {**os.environ, "HOME": str(folder), "NLTK_DATA": str(folder / "nltk_data")}
    return subprocess.run(
        [CURATE, "build-metadata", "-w", folder / "data", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip


def test_a_named_language_without_the_only_source_is_an_error_after_the_others(folder):
    wn = str(folder / "wn")
    message = (
        r"2 languages.*\n  de: Open Multilingual WordNet does not have de, and nothing else.*\n"
        r"  fr: no WordNet in .*/wn \(there is no wn-data-fra\.tab\), and nothing else was asked"
    )
    with pytest.raises(InputError, match=message):
        build(folder, "da,de,fr", kinds="wordnet", wordnet_dir=wn)
    table = pq.read_table(folder / "metadata/da.parquet")
    assert table.column("entry").to_pylist()[100:] == ["hund"]
    assert not (folder / "metadata/de.parquet").exists()


def test_a_named_language_without_one_of_its_sources_is_told(folder, capsys):
    wn = str(folder / "wn")
    manifest = build(folder, "fr", kinds="wordnet,unigram", wordnet_dir=wn, quiet=False)
    assert manifest["languages"]["fr"]["sources"] == {"number": 100, "unigram": 3}
    told = capsys.readouterr().err
    assert "fr: no WordNet in " in told and "entries come from the rest" in told


def test_offline_without_wordnet_is_one_clean_error(folder):
    found = run(folder, "--lang", "en", "--sources", "wordnet", "--offline")
    assert found.returncode == 1 and found.stdout == ""
    assert re.fullmatch(
        r"Error: the English WordNet is not in nltk's data path, and nothing is fetched\. .*\n",
        found.stderr,
    )
    with pytest.raises(InputError, match="omw-1.4.*nothing is fetched"):
        build(folder, "all", kinds="wordnet,unigram", options=SourceOptions())


def test_a_dry_run_tells_wordnets_and_thresholds(folder):
    values = {"kinds": "wordnet", "dry_run": True, "wordnet_dir": str(folder / "wn")}
    plan = build(folder, "da,fr", **values)
    assert plan["da"] == f"WordNet of {folder}/wn"
    assert "wn-data-fra.tab), and nothing else was asked for" in plan["fr"]
    assert plan["thresholds"].startswith("those of the papers, but unigram_top_share 1.0")
    assert list(plan) == ["da", "fr", "thresholds"]
    plan = build(folder, "da", **{**values, "overrides": {}, "wordnet_dir": None},
                 options=SourceOptions(mirror="http://127.0.0.1:9"))  # fmt: skip
    assert plan["da"] == "WordNet of nltk's data, to be downloaded"
    assert plan["thresholds"] == "those of the papers"
    plan = build(folder, "fr", **{**values, "kinds": "wordnet,unigram,title"}, pageviews="nowhere",
                 options=SourceOptions(mirror="http://127.0.0.1:9"))  # fmt: skip
    assert re.fullmatch(r".*/frwiki-20260101-.*bz2; no WordNet in .*wn-data-fra\.tab\)", plan["fr"])
    assert "connection failed" in plan["page views"]


def test_a_dry_run_asks_a_server_that_fails_once_and_says_so(folder):
    with MirrorServer() as server:
        pass
    patient = options(server, retries=SourceOptions().retries)  # which would wait for a minute
    with pytest.raises(InputError, match=r"skwiki/: the connection failed .* after 1 attempt\."):
        build_from_server(server, folder, "sk", options=patient, dry_run=True)


def offline_command(folder):
    """Return the arguments of the guide's command, DIR being the folder of dumps."""
    guide = (ROOT / "docs/guide.md").read_text("utf-8")
    (command,) = re.findall(r"^curate build-metadata .* --offline .*$", guide, re.MULTILINE)
    return [str(folder / "dumps") if a == "DIR" else a for a in shlex.split(command)[2:]]


def test_the_readmes_command_without_a_network_finds_its_sources(folder, wordnet_dir):
    write_dump(folder / "dumps", "en", [("Dog", "A dog. " * 9)])
    found = run(folder, *offline_command(folder), "--dry-run")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"en: WordNet of {wordnet_dir}; {folder}/dumps/enwiki-2026")


@pytest.mark.slow
def test_the_readmes_command_without_a_network(folder, wordnet_dir):
    words = "A red dog and a blue dog. " * 120
    write_dump(folder / "dumps", "en", [("Dog", words)])
    found = run(folder, *offline_command(folder))
    assert found.returncode == 0, found.stderr
    header, row = (re.split(r"\s\s+", line) for line in found.stdout.splitlines()[:2])
    counts = dict(zip(header, row, strict=True))
    assert counts["wordnet"] == "86,554" and counts["bigram"] != "0"
