"""`--lang all` over real articles of 122 Wikipedias: one command, from a server to the manifest."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.metadata.languages import WIKIPEDIA_CODES, metadata_languages, wikis_of
from curate.metadata.wikipedia.dump import read_pages
from curate.metadata.wikipedia.dump_names import dump_name
from tests.metadata.mirror_server import MirrorServer
from tests.pipelines.helpers import KILLS, contents
from tests.pipelines.kills import kill_at_work

CURATE = Path(sys.executable).with_name("curate")
DAY = "20240102"
SOME = ("af", "de", "en", "ja", "simple", "th", "yi", "zh")


@pytest.fixture(scope="module")
def minidumps(real_data, tmp_path_factory):
    """Return the dump of each wiki; the archive holds that of Commons too, which is none."""
    folder = tmp_path_factory.mktemp("minidumps")
    with tarfile.open(real_data / "wiki/dbpedia_minidumps_berlin.tar") as archive:
        archive.extractall(folder, filter="data")
    found = {dump_name(path.name).wiki: path for path in sorted(folder.glob("*.xml.bz2"))}
    return {wiki: path for wiki, path in found.items() if wiki in WIKIPEDIA_CODES}


def put_up(server, minidumps, wikis):
    """Put up dumps, and a day on which every article was looked at twice, once by telephone."""
    lines = []
    for wiki in wikis:
        path = minidumps[wiki]
        server.add_dump(f"{wiki}wiki", "20260101", {"pages-articles.xml.bz2": path.read_bytes()})
        titles = [p.title.replace(" ", "_") for p in read_pages(str(path)) if p.namespace == 0]
        for title in titles:
            for device in ("desktop", "mobile-web"):
                lines.append(f"{wiki.replace('_', '-')}.wikipedia {title} 1 {device} 1 A1")
    server.add_day(DAY, lines)


def command(server, *arguments):
    return [CURATE, "build-metadata", "--lang", "all", "--mirror", server.url, "--json",
         "--sources", "unigram,bigram,title", "--pageview-days", "1", "--pageview-from",
         "2024-01-02", "--pageview-to", "2024-01-02", "--title-top-share", "1", "-w", "data",
         "--unigram-min-count", "2", "--unigram-top-share", "1", "--title-min-views", "1",
            *arguments]  # fmt: skip


def build(folder, server, *arguments):
    return subprocess.run(
        command(server, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=folder,
    )


def check(folder, found, minidumps, wikis):
    assert found.returncode == 0, found.stderr
    manifest = json.loads(found.stdout)
    # The Sinhala dump has nothing but a redirect.
    assert set(manifest["failed"]) == {"si"} & set(wikis)
    assert all("no article in it" in problem for problem in manifest["failed"].values())
    there = {lang for lang in metadata_languages() if set(wikis_of(lang)) & set(wikis)}
    built = there - {"si"}
    assert set(manifest["languages"]) - {"other"} == built
    assert set(manifest["absent"]) == set(metadata_languages()) - there
    for lang in built:
        made = manifest["languages"][lang]["made_from"]
        for dump in made["dumps"]:
            body = minidumps[dump_name(Path(dump["file"]).name).wiki].read_bytes()
            assert dump["sha256"] == hashlib.sha256(body).hexdigest()
            assert dump["size_bytes"] == len(body) and dump["date"] == "20260101"
            assert dump["url"].endswith("-20260101-pages-articles.xml.bz2")
        assert [views["date"] for views in made["pageviews"]] == [DAY]
    return manifest


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--drop-sources"]])
def test_killed_at_random_and_run_again_it_ends_with_the_same_bytes(minidumps, tmp_path, arguments):
    folders, rng = [tmp_path / "once", tmp_path / "killed"], random.Random(4)
    with MirrorServer() as server:
        put_up(server, minidumps, SOME)
        for folder in folders:
            folder.mkdir()
        began = time.monotonic()
        check(folders[0], build(folders[0], server, *arguments), minidumps, SOME)
        seconds, killed = time.monotonic() - began, [*command(server, *arguments), "--quiet"]

        def anew():
            shutil.rmtree(folders[1])
            folders[1].mkdir()

        kill_at_work(killed, folders[1], seconds, rng, max(4, KILLS // 10), anew)
        check(folders[1], build(folders[1], server, *arguments), minidumps, SOME)
    once, killed = (contents(folder / "data") for folder in folders)
    assert once == {name: sha256 for name, sha256 in killed.items() if name in once}
    assert not [name for name in killed if name.endswith(".part") or name not in once]


@pytest.mark.slow
def test_all_languages_from_a_server_to_the_manifest_and_some_the_same_by_another_way(
    minidumps, tmp_path
):
    wikis, some = tuple(minidumps), (*SOME, "si")
    assert len(wikis) == 122
    kept, dropped = tmp_path / "kept", tmp_path / "dropped"
    kept.mkdir()
    dropped.mkdir()
    with MirrorServer() as server:
        put_up(server, minidumps, wikis)
        start = time.monotonic()
        manifest = check(kept, build(kept, server), minidumps, wikis)
        assert time.monotonic() - start < 180
        there = {"other", *(f"{wiki}wiki" for wiki in some)}
        for path in [path for path in server.files if path.split("/")[1] not in there]:
            del server.files[path]
        arguments = ("--drop-sources", "--workers", "1")
        check(dropped, build(dropped, server, *arguments), minidumps, some)
    assert manifest["languages"]["ja"]["sources"]["unigram"] > 100
    titles = pq.read_table(kept / "data/metadata/de.parquet").to_pylist()
    assert all(row["score"] == 2.0 for row in titles if row["source"] == "title")
    one, other = (contents(folder / "data/metadata") for folder in (kept, dropped))
    differing = {name for name in other if one[name] != other[name]}
    assert differing <= {"manifest.json", "other.parquet", "other.index"} and len(other) > 16
    assert len(list(kept.rglob("*.bz2"))) == 123
    # What failed is kept, to be looked at.
    assert [path.name[:6] for path in dropped.rglob("*.bz2")] == ["siwiki"]
