"""From a server to the manifest, over loopback: what is fetched, and what is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import ArtifactError, InputError, UsageError
from curate.pipelines.build_metadata.find_sources import SourceOptions
from curate.pipelines.build_metadata.own_dumps import own_dumps
from tests.pipelines.helpers import contents
from tests.pipelines.mirror_world import (
    DAYS,
    FIRST,
    LAST,
    WORDS,
    build,
    data_requests,
    dump,
    entries,
    few_languages,
    mirror_world,
    options,
    put_up,
)

CURATE = Path(sys.executable).with_name("curate")


@pytest.fixture
def server(monkeypatch):
    few_languages(monkeypatch)
    with mirror_world() as running:
        yield running


def test_everything_from_a_server_to_the_manifest(server, tmp_path):
    manifest = build(server, tmp_path)
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}
    assert manifest["failed"] == {} and "en" in manifest["absent"]
    assert entries(tmp_path, "de", "title") == [("Roter Hund", 18.0), ("Berlin am See", 14.0)]
    assert ("Chien", 8.0) in entries(tmp_path, "fr", "title")
    made = manifest["languages"]["de"]["made_from"]
    assert len(made["dumps"]) == 2
    for found in made["dumps"] + made["pageviews"]:
        path = found["url"].removeprefix(server.url)
        assert found["size_bytes"] == len(server.files[path])
        assert len(found["sha1"]) == 40 and len(found["sha256"]) == 64
    assert {found["date"] for found in made["dumps"]} == {"20260101"}
    assert [found["date"] for found in made["pageviews"]] == sorted(DAYS[:2])
    assert made["pageview_sample"]["missing"] == [f"pageviews-{DAYS[2]}-user.bz2"]
    assert made["pageview_sample"]["days"] == 3


@pytest.mark.slow
def test_a_rerun_fetches_nothing_and_changes_nothing(server, tmp_path):
    build(server, tmp_path)
    before, written = len(data_requests(server)), contents(tmp_path)
    build(server, tmp_path)
    assert len(data_requests(server)) == before and contents(tmp_path) == written


@pytest.mark.slow
def test_dropped_sources_are_not_missed(server, tmp_path):
    build(server, tmp_path, changed={"keep": False}, workers=2)
    assert not list(tmp_path.glob("*/*.bz2"))
    notes = {p.name for p in tmp_path.glob("dumps/*.source.json")}
    assert "dewiki-20260101-pages-articles1.xml-p1p1.bz2.source.json" in notes
    before, written = len(data_requests(server)), contents(tmp_path / "metadata")
    build(server, tmp_path, changed={"keep": False})
    assert len(data_requests(server)) == before and contents(tmp_path / "metadata") == written
    build(server, tmp_path, "de", overwrite=True)
    assert [p for p in data_requests(server)[before:] if "pageviews" in p] == []
    assert len(data_requests(server)) == before + 2


def test_latest_asks_for_a_newer_dump(server, tmp_path):
    build(server, tmp_path, "de")
    put_up(server, "de", WORDS["fr"], "20260201")
    with pytest.raises(ArtifactError, match="was made|this run has"):
        build(server, tmp_path, "de", changed={"dump_date": "latest"})
    build(server, tmp_path, "de", changed={"dump_date": "latest"}, overwrite=True)
    assert ("chien", 9.0) in entries(tmp_path, "de", "unigram")
    manifest = build(server, tmp_path, "de", changed={"dump_date": "20260101"}, overwrite=True)
    assert {d["date"] for d in manifest["languages"]["de"]["made_from"]["dumps"]} == {"20260101"}


def test_own_dumps_are_used_and_nothing_is_fetched_for_all(server, tmp_path):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/dewiki-20250101-pages-articles.xml.bz2").write_bytes(dump(WORDS["de"]))
    manifest = build(server, tmp_path, changed={"whole_mirror": False})
    assert set(manifest["languages"]) == {"de"} and server.seen == []
    assert manifest["languages"]["de"]["sources"].get("title") is None
    manifest = build(server, tmp_path, overwrite=True)
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}
    assert server.requests("dewiki") == []


def test_what_is_missing_of_a_named_language_is_fetched(server, tmp_path):
    build(server, tmp_path, "fr", changed={"whole_mirror": False})
    assert entries(tmp_path, "fr", "title") == [("Chien", 8.0)]
    assert server.requests("dewiki") == []


def test_offline_says_what_is_missing(server, tmp_path):
    with pytest.raises(InputError, match="titles need page views"):
        build(server, tmp_path, "fr", options=SourceOptions())
    with pytest.raises(InputError, match="there is no dump of fr"):
        build(server, tmp_path, "fr", options=SourceOptions(), kinds="unigram")
    build(server, tmp_path, "fr", changed={"keep": False})
    (tmp_path / "metadata/fr.parquet").unlink()
    with pytest.raises(InputError, match="frwiki.*not here, and nothing is fetched.*--mirror"):
        build(server, tmp_path, "fr", options=options(server, mirror=None))
    assert server.seen != []


def test_a_wordnet_at_hand_is_enough_for_all(server, tmp_path):
    (tmp_path / "wordnet").mkdir()
    (tmp_path / "wordnet/wn-data-slk.tab").write_text("# Slovak\n00000001-n\tlemma\tpes\n")
    for folder, lang in ((tmp_path, "all"), (tmp_path / "only", "all")):
        kinds = "wordnet" if folder.name == "only" else "wordnet,unigram"
        manifest = build(server, folder, lang, kinds=kinds, wordnet_dir=str(tmp_path / "wordnet"))
        assert manifest["languages"]["sk"]["sources"]["wordnet"] == 1
        assert "sk" not in manifest["absent"] and manifest["failed"] == {}
    assert set(manifest["languages"]) == {"sk"}


def test_the_parts_of_a_merged_language_that_the_server_lacks_are_named(server, tmp_path):
    put_up(server, "zh_yue", [("狗", "狗係動物。" * 9)])
    manifest = build(server, tmp_path, "zh", kinds="unigram")
    assert manifest["languages"]["zh"]["made_from"]["absent_wikis"] == ["zh", "zh_classical"]


def test_a_dry_run_says_what_it_would_fetch_and_writes_nothing(server, tmp_path):
    plan = build(server, tmp_path, "de,es", dry_run=True)
    assert plan["de"].startswith("2 files to fetch") and "B, from dewiki-2026" in plan["de"]
    assert "/eswiki/" in plan["es"] and plan["page views"].startswith("2 files to fetch")
    assert list(tmp_path.iterdir()) == [] and data_requests(server) == []


@pytest.mark.slow
def test_hourly_page_views_are_an_option(server, tmp_path):
    server.add_hours(DAYS[0], ["de Berlin_am_See 1 0", "de.m Roter_Hund 2 0", "de.b Berlin 99 0"])
    manifest = build(server, tmp_path, "de", changed={"pageview_kind": "hourly"}, workers=2)
    assert entries(tmp_path, "de", "title") == [("Roter Hund", 48.0), ("Berlin am See", 24.0)]
    made = manifest["languages"]["de"]["made_from"]
    assert len(made["pageviews"]) == 24 and len(made["pageview_sample"]["missing"]) == 48


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mirror": "ftp://here"}, "--mirror is 'ftp://here'"),
        ({"dump_date": "yesterday"}, "--dump-date is 'yesterday'"),
        ({"corpus": "books"}, "--corpus is 'books'; expected dumps or api"),
        ({"pageview_kind": "weekly"}, "--pageview-files is 'weekly'"),
        ({"max_articles": 0}, "--max-articles is 0"),
        ({"corpus": "api", "mirror": None}, "cannot be had with --offline"),
    ],
)
def test_options_that_cannot_be_meant(server, changed, message):
    with pytest.raises(UsageError, match=message):
        options(server, **changed)


def test_an_object_store_is_not_fetched_into(server, tmp_path):
    with pytest.raises(UsageError, match="memory://dumps: downloads go on.*--dumps"):
        build(server, tmp_path, "de", dumps="memory://dumps", kinds="unigram")
    with pytest.raises(UsageError, match="memory://views.*--pageviews"):
        build(server, tmp_path, "de", pageviews="memory://views")


def test_own_dumps_may_be_parquet_in_folders_or_files(tmp_path):
    for name in ("20231101.zh-yue/a-1.parquet", "20231101.zh-yue/a-0.parquet",
                 "20220301.zh-yue/a-0.parquet", "simplewiki-20231101.parquet",
                 "dewiki-20240101-pages-articles.xml.bz2", "20231101.de/a.parquet"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = own_dumps(str(tmp_path))
    assert {w: [Path(p).name for p in paths] for w, paths in found.items()} == {
        "zh_yue": ["a-0.parquet", "a-1.parquet"],
        "simple": ["simplewiki-20231101.parquet"],
        "de": ["dewiki-20240101-pages-articles.xml.bz2"],
    }
    assert set(own_dumps(str(tmp_path), "20231101")) == {"zh_yue", "simple", "de"}


def curate(folder, server, *arguments):
    return subprocess.run(
        [CURATE, "build-metadata", "-w", folder, "--mirror", server.url, "--pageview-days", "3",
         "--pageview-from", str(FIRST), "--pageview-to", str(LAST), *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_says_what_it_fetched_and_what_failed(server, tmp_path):
    server.files["/itwiki/20260101/dumpstatus.json"] = b"{}"
    found = curate(tmp_path, server, "--lang", "all", "--sources", "unigram,title")
    assert found.returncode == 0, found.stderr
    assert "to fetch: " in found.stderr and "failed: it: " in found.stderr
    assert found.stdout.startswith("lang")
    assert {p.name for p in (tmp_path / "sources").iterdir() if p.name[0] != "."} == {
        "dumps", "pageviews", "counted"
    }  # fmt: skip
    found = curate(tmp_path, server, "--lang", "all", "--pageview-to", "tomorrow")
    assert found.returncode == 2 and "--pageview-to is 'tomorrow'" in found.stderr
    found = curate(tmp_path, server, "--lang", "it", "--sources", "unigram")
    assert found.returncode == 1 and found.stdout == ""
    assert "Error: " in found.stderr and "dumpstatus.json: not readable" in found.stderr
