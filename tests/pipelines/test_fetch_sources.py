"""From a server to the manifest, over loopback: what is fetched, and what happens if it is not."""

import bz2
import errno
import hashlib
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from metadata.errors import ArtifactError, DiskSpaceError, InputError, UsageError
from metadata.fetch import Retries
from metadata.languages import WIKIPEDIA_CODES
from metadata.wikimedia import sample_days
from pipelines import storage
from pipelines.build_metadata import build_languages
from pipelines.exec_lease import driving
from pipelines.find_sources import SourceOptions, own_dumps
from tests.metadata.mirror_server import Fault, MirrorServer
from tests.pipelines.helpers import contents

CURATE = Path(sys.executable).with_name("curate")
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 31)
DAYS = [f"{day:%Y%m%d}" for day in sample_days(3, FIRST, LAST)]
PAGE = "<page><title>{}</title><ns>0</ns><revision><text>{}</text></revision></page>"
WORDS = {
    "de": [("Roter Hund", "Ein roter Hund. " * 9), ("Berlin am See", "Berlin ist gross. " * 9)],
    "fr": [("Chien", "Le chien rouge. " * 9)],
    "ltg": [("Rūma", "Rūma ir pylsāta. " * 9)],
}
ALL = {"unigram_top_share": 1.0, "bigram_max_share": 1.0, "title_top_share": 1.0}


def dump(pages):
    xml = "".join(PAGE.format(*page) for page in pages)
    return bz2.compress(f"<mediawiki><siteinfo/>{xml}</mediawiki>".encode())


def put_up(server, wiki, pages, day="20260101"):
    """Put up a dump in as many parts as it has pages."""
    parts = {
        f"pages-articles{i}.xml-p{i}p{i}.bz2": dump([page]) for i, page in enumerate(pages, start=1)
    }
    server.add_dump(f"{wiki}wiki", day, parts)


@pytest.fixture
def server():
    with MirrorServer() as running:
        for wiki, pages in WORDS.items():
            put_up(running, wiki, pages)
        for day in DAYS[:2]:  # the server does not have the third
            running.add_day(
                day,
                ["de.wikipedia Berlin_am_See 1 desktop 7 A7", "fr.wikipedia Chien 1 desktop 4 A4",
                 "de.wikipedia Roter_Hund 2 mobile-web 9 A9", "de.wikibooks Berlin 1 desktop 9 A9",
                 "ltg.wikipedia R%C5%ABma 1 mobile-app 2 A2"],
            )  # fmt: skip
        yield running


def options(server, **changed):
    values = {
        "mirror": server.url,
        "whole_mirror": True,
        "pageview_days": 3,
        "pageview_from": FIRST,
        "pageview_to": LAST,
        "retries": Retries(attempts=2, first_wait_s=0.001, timeout_s=2.0),
        **changed,
    }
    return SourceOptions(**values)


def build(server, folder, lang="all", *, changed=None, **arguments):
    values = {
        "kinds": "unigram,bigram,title",
        "dumps": str(folder / "dumps"),
        "pageviews": str(folder / "views"),
        "wordnet_dir": None,
        "overrides": ALL,
        "options": options(server, **(changed or {})),
        "scratch": str(folder / "counted"),
        "output": str(folder / "metadata"),
        "quiet": True,
        **arguments,
    }
    return build_languages(lang, **values)


def entries(folder, lang, source):
    rows = pq.read_table(folder / f"metadata/{lang}.parquet").to_pylist()
    return [(row["entry"], row["score"]) for row in rows if row["source"] == source]


def data_requests(server):
    return [seen.path for seen in server.requests(".bz2") if seen.path.endswith(".bz2")]


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


def test_a_rerun_fetches_nothing_and_changes_nothing(server, tmp_path):
    build(server, tmp_path)
    before, written = len(data_requests(server)), contents(tmp_path)
    build(server, tmp_path)
    assert len(data_requests(server)) == before and contents(tmp_path) == written


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


def test_of_several_dumps_each_is_dropped_once_counted(server, tmp_path):
    """A dump that was counted is neither there nor fetched again when a later one fails."""
    once = contents_of_all(server, tmp_path / "once")
    part = "/dewiki/20260101/dewiki-20260101-pages-articles2.xml-p2p2.bz2"
    server.faults[part] = [Fault(status=503)] * 2
    before = len(server.seen)
    with pytest.raises(InputError, match="503"):
        build(server, tmp_path, "de", changed={"keep": False})
    assert not list(tmp_path.glob("dumps/*.bz2"))
    counted = tmp_path / "counted/words/de"
    assert len(list(counted.glob("dump-*.json"))) == 1
    (counted / ".tmp-of-a-killed-run").write_bytes(b"x")
    manifest = build(server, tmp_path, "de", changed={"keep": False}, workers=2)
    fetched = [seen.path for seen in server.seen[before:] if "articles1.xml" in seen.path]
    assert len(fetched) == 1 and not counted.exists()
    assert entries(tmp_path, "de", "title") == [("Roter Hund", 18.0), ("Berlin am See", 14.0)]
    assert manifest["languages"]["de"]["sha256"] == once["de"]
    assert len(manifest["languages"]["de"]["made_from"]["dumps"]) == 2


def contents_of_all(server, folder):
    return {lang: made["sha256"] for lang, made in build(server, folder)["languages"].items()}


def test_of_several_dumps_a_corrupt_one_is_kept_and_the_others_go_on(server, tmp_path):
    """Also those that come after it: nothing else of the language is fetched."""
    for number in range(3, 30):
        add_part(server, "de", number)
    body = server.files["/dewiki/20260101/dewiki-20260101-pages-articles1.xml-p1p1.bz2"]
    put_up_again(server, "/dewiki/20260101/dewiki-20260101-pages-articles1.xml-p1p1.bz2", body[:-9])
    manifest = build(server, tmp_path, changed={"keep": False}, workers=2)
    assert set(manifest["failed"]) == {"de"} and "p1p1.bz2: corrupt" in manifest["failed"]["de"]
    assert set(manifest["languages"]) == {"fr", "ltg", "other"}
    left = [path.name for path in tmp_path.glob("dumps/*.bz2")]
    assert "dewiki-20260101-pages-articles1.xml-p1p1.bz2" in left
    assert len(server.requests("/dewiki/20260101/dewiki-20260101-pages-articles")) < 29


def add_part(server, wiki, number):
    body = {f"pages-articles{number}.xml-p{number}p{number}.bz2": dump([(f"T {number}", "x " * 9)])}
    status = f"/{wiki}wiki/20260101/dumpstatus.json"
    before = json.loads(server.files[status])["jobs"]["articlesdump"]["files"]
    server.add_dump(f"{wiki}wiki", "20260101", body)
    jobs = json.loads(server.files[status])
    jobs["jobs"]["articlesdump"]["files"] |= before
    server.files[status] = json.dumps(jobs).encode()


def put_up_again(server, path, body):
    """Put up another file under a name, as a server lists it that is consistent."""
    server.files[path] = body
    status = path.rsplit("/", 1)[0] + "/dumpstatus.json"
    jobs = json.loads(server.files[status])
    listed = jobs["jobs"]["articlesdump"]["files"][path.rsplit("/", 1)[-1]]
    listed |= {"size": len(body), "sha1": hashlib.sha1(body).hexdigest()}
    server.files[status] = json.dumps(jobs).encode()


def test_what_a_run_killed_before_it_had_tidied_up_left_is_removed(server, tmp_path):
    changed = {"keep": False}
    build(server, tmp_path, changed=changed)
    once = contents(tmp_path)
    for path, body in server.files.items():
        if path.endswith(".bz2"):
            name = path.rsplit("/", 1)[-1]
            (tmp_path / ("views" if "pageviews" in name else "dumps") / name).write_bytes(body)
    for name in ("part-0.json", "part-0.words.parquet"):
        (tmp_path / "counted/words/de").mkdir(parents=True, exist_ok=True)
        (tmp_path / "counted/words/de" / name).write_bytes(b"{}")
    build(server, tmp_path)  # sources are kept if nobody says otherwise; counts are not
    assert len(list(tmp_path.glob("*/*.bz2"))) == 6
    assert not (tmp_path / "counted/words/de").exists()
    build(server, tmp_path, changed=changed)
    assert contents(tmp_path) == once


def test_a_run_that_was_cut_off_takes_the_same_dump_even_if_there_is_a_newer(server, tmp_path):
    part = "/dewiki/20260101/dewiki-20260101-pages-articles2.xml-p2p2.bz2"
    server.faults[part] = [Fault(close_after=9), *[Fault(status=503)] * 2]
    with pytest.raises(InputError, match="503"):
        build(server, tmp_path, "de")
    put_up(server, "de", WORDS["fr"], "20260201")
    manifest = build(server, tmp_path, "de")
    assert {d["date"] for d in manifest["languages"]["de"]["made_from"]["dumps"]} == {"20260101"}
    assert server.requests(part)[-1].first_byte == 9


def test_latest_asks_for_a_newer_dump(server, tmp_path):
    build(server, tmp_path, "de")
    put_up(server, "de", WORDS["fr"], "20260201")
    with pytest.raises(ArtifactError, match="was made|this run has"):
        build(server, tmp_path, "de", changed={"dump_date": "latest"})
    build(server, tmp_path, "de", changed={"dump_date": "latest"}, overwrite=True)
    assert ("chien", 9.0) in entries(tmp_path, "de", "unigram")
    manifest = build(server, tmp_path, "de", changed={"dump_date": "20260101"}, overwrite=True)
    assert {d["date"] for d in manifest["languages"]["de"]["made_from"]["dumps"]} == {"20260101"}


def test_a_language_that_fails_does_not_keep_the_others_back(server, tmp_path):
    put_up(server, "es", [("Perro", "El perro rojo. " * 9)])
    put_up(server, "it", [("Cane", "Il cane rosso. " * 9)])
    put_up(server, "pt", [("Cão", "O cão vermelho. " * 9)])
    name = "pages-articles1.xml-p1p1.bz2"
    server.files[f"/itwiki/20260101/itwiki-20260101-{name}"] = b"BZh9 and no more"
    server.add_dump("nlwiki", "20260101", {name: dump([("Hond", "De hond. " * 9)])[:-9]})
    server.faults[f"/eswiki/20260101/eswiki-20260101-{name}"] = [Fault(html=True)] * 2
    server.faults["/ptwiki/"] = [Fault(status=503)] * 2
    server.add_dump("svwiki", "20260101", {name: dump([])})
    manifest = build(server, tmp_path)
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}
    assert set(manifest["failed"]) == {"es", "it", "nl", "pt", "sv"}
    assert "page of HTML" in manifest["failed"]["es"]
    assert "in two downloads" in manifest["failed"]["it"]
    assert "corrupt or cut off" in manifest["failed"]["nl"]
    assert "503" in manifest["failed"]["pt"]
    assert "no article in it" in manifest["failed"]["sv"]
    stored = json.loads((tmp_path / "metadata/manifest.json").read_text())
    assert stored["failed"] == manifest["failed"]
    assert set(build(server, tmp_path)["languages"]) >= {"es", "pt"}


def test_a_named_language_that_fails_is_an_error_after_the_others(server, tmp_path):
    with pytest.raises(InputError, match=r"2 languages.*\n  es: .*404.*\n  pt: .*/ptwiki/.*404"):
        build(server, tmp_path, "de,es,pt")
    manifest = json.loads((tmp_path / "metadata/manifest.json").read_text())
    assert set(manifest["languages"]) == {"de"} and set(manifest["failed"]) == {"es", "pt"}


def test_if_nothing_can_be_built_all_is_an_error_too(server, tmp_path):
    server.files.clear()
    with pytest.raises(InputError, match="the server has none of the"):
        build(server, tmp_path)
    with MirrorServer() as gone:
        pass
    with pytest.raises(InputError, match="connection failed"):
        build(gone, tmp_path)


def test_own_dumps_are_used_and_nothing_is_fetched_for_all(server, tmp_path):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/dewiki-20250101-pages-articles.xml.bz2").write_bytes(dump(WORDS["de"]))
    manifest = build(server, tmp_path, changed={"whole_mirror": False})
    assert set(manifest["languages"]) == {"de"} and server.seen == []
    assert manifest["languages"]["de"]["sources"].get("title") is None
    manifest = build(server, tmp_path, overwrite=True)
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}
    assert server.requests("dewiki") == []


def test_a_fetched_file_that_was_cut_short_is_fetched_again(server, tmp_path):
    build(server, tmp_path, "fr")
    (path,) = (tmp_path / "dumps").glob("*.bz2")
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    build(server, tmp_path, "fr", overwrite=True)
    assert path.read_bytes() == whole


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


def test_too_small_a_disk_is_said_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=500))
    with pytest.raises(DiskSpaceError, match=r"[\d.]+ k?B are needed and 500 B are free.*"):
        build(server, tmp_path)
    assert data_requests(server) == []


def test_the_counts_need_room_too(server, tmp_path, monkeypatch):
    build(server, tmp_path, kinds="title")  # everything is here, and nothing but counts to write
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=50))
    with pytest.raises(DiskSpaceError, match="counted: .* B are needed and 50 B are free"):
        build(server, tmp_path, kinds="unigram", output=str(tmp_path / "second"))
    manifest = build(server, tmp_path, kinds="title", output=str(tmp_path / "second"))
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}


def test_where_dropping_would_help_it_is_said(server, tmp_path, monkeypatch):
    for i in range(30):  # many languages, of which two workers hold six at a time
        put_up(server, WIKIPEDIA_CODES[i], [(f"Title {i}", f"Words {i}. " * 99)])
    total = sum(len(server.files[p]) for p in server.files if p.endswith("p1.bz2"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=total * 2 // 3))
    with pytest.raises(DiskSpaceError, match="With --drop-sources, .*B are enough"):
        build(server, tmp_path, kinds="unigram")
    manifest = build(server, tmp_path, kinds="unigram", changed={"keep": False})
    assert len(manifest["languages"]) > 25


def test_a_disk_that_fills_up_ends_the_run_and_says_so(server, tmp_path, monkeypatch):
    publish = storage.publish

    def full(path):
        if path.endswith("de.index"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return publish(path)

    monkeypatch.setattr(storage, "publish", full)
    with pytest.raises(DiskSpaceError, match="the disk is full. What is done is kept"):
        build(server, tmp_path)
    monkeypatch.undo()
    assert set(build(server, tmp_path)["languages"]) == {"de", "fr", "ltg", "other"}


def test_page_views_that_cannot_be_read_are_fetched_once_more(server, tmp_path):
    path = next(p for p in server.files if DAYS[0] in p)
    whole = server.files[path]
    server.files[path] = whole[:-9]
    manifest = build(server, tmp_path, "de")
    sample = manifest["languages"]["de"]["made_from"]["pageview_sample"]
    assert sample["damaged"] == [f"pageviews-{DAYS[0]}-user.bz2"]
    assert entries(tmp_path, "de", "title") == [("Roter Hund", 9.0), ("Berlin am See", 7.0)]
    assert len(server.requests(path)) == 2
    build(server, tmp_path, "de")
    assert len(server.requests(path)) == 2
    # Where the second download is good, nothing is missed.
    server.files[path], second = whole, tmp_path / "second"
    server.faults[path] = [Fault(), Fault(garbled=True)]  # the first of them is for the size
    manifest = build(server, second, "de")
    assert manifest["languages"]["de"]["made_from"]["pageview_sample"]["damaged"] == []
    assert entries(second, "de", "title") == [("Roter Hund", 18.0), ("Berlin am See", 14.0)]


def test_a_day_that_cannot_be_had_is_an_error_and_the_next_run_goes_on(server, tmp_path):
    path = next(p for p in server.files if DAYS[1] in p)
    server.faults[path] = [Fault(), Fault(status=503), Fault(status=503)]
    with pytest.raises(InputError, match=f"{DAYS[1]}.*503.*run the same command again"):
        build(server, tmp_path, "de")
    build(server, tmp_path, "de")
    assert entries(tmp_path, "de", "title") == [("Roter Hund", 18.0), ("Berlin am See", 14.0)]


def test_no_day_at_all(server, tmp_path):
    for path in [p for p in server.files if "pageviews" in p]:
        del server.files[path]
    with pytest.raises(InputError, match="has none of the 3 files drawn"):
        build(server, tmp_path, "de")
    manifest = build(server, tmp_path)
    assert manifest["languages"]["de"]["made_from"]["kinds"] == ["unigram", "bigram"]


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


@pytest.mark.parametrize("held", ["counted", "metadata"])
def test_a_second_run_on_the_same_sources_or_output_is_refused(server, tmp_path, held):
    with driving(str(tmp_path / held), "build-metadata"):
        with pytest.raises(ArtifactError, match=f"{held}: .*works on it already"):
            build(server, tmp_path, "fr", kinds="unigram")
        assert data_requests(server) == []
        assert list(build(server, tmp_path, "fr", kinds="unigram", dry_run=True)) == ["fr"]
    build(server, tmp_path, "fr", kinds="unigram")


def curate(folder, server, *arguments):
    return subprocess.run(
        [CURATE, "build-metadata", "-w", folder, "--mirror", server.url, "--pageview-days", "3",
         "--pageview-from", str(FIRST), "--pageview-to", str(LAST), *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_command_says_what_it_fetched_and_what_failed(server, tmp_path):
    server.files["/itwiki/20260101/dumpstatus.json"] = b"{}"
    found = curate(tmp_path, server, "--sources", "unigram,title")
    assert found.returncode == 0, found.stderr
    assert "to fetch: " in found.stderr and "failed: it: " in found.stderr
    assert found.stdout.startswith("lang")
    assert {p.name for p in (tmp_path / "sources").iterdir() if p.name[0] != "."} == {
        "dumps", "pageviews", "counted"
    }  # fmt: skip
    found = curate(tmp_path, server, "--pageview-to", "tomorrow")
    assert found.returncode == 2 and "--pageview-to is 'tomorrow'" in found.stderr
    found = curate(tmp_path, server, "--lang", "it", "--sources", "unigram")
    assert found.returncode == 1 and found.stdout == ""
    assert "Error: " in found.stderr and "dumpstatus.json: not readable" in found.stderr
