"""From a server to the manifest: what fails, is cut off, damaged, or finds no room."""

import errno
import hashlib
import json
import os
import shutil

import pytest

from curate.errors import ArtifactError, DiskSpaceError, InputError
from curate.files import storage
from curate.metadata.languages import WIKIPEDIA_CODES
from curate.pipelines.executor.lease import driving
from tests.metadata.mirror_server import Fault, MirrorServer
from tests.pipelines.helpers import contents
from tests.pipelines.mirror_world import (
    DAYS,
    WORDS,
    build,
    data_requests,
    dump,
    entries,
    few_languages,
    mirror_world,
    put_up,
)


@pytest.fixture
def server(monkeypatch):
    few_languages(monkeypatch)
    with mirror_world() as running:
        yield running


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("rest", [b"", b"x"])
def test_a_fetched_file_that_was_cut_short_or_edited_is_fetched_again(server, tmp_path, rest):
    build(server, tmp_path, "fr")
    (path,) = (tmp_path / "dumps").glob("*.bz2")
    whole, note = path.read_bytes(), path.with_name(path.name + ".source.json")
    path.write_bytes(whole[:50] + rest * (len(whole) - 50))
    later = note.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    build(server, tmp_path, "fr", overwrite=True)
    assert path.read_bytes() == whole
    before = len(data_requests(server))
    os.utime(path, ns=(later, later))  # as in a copy of the folder
    build(server, tmp_path, "fr", overwrite=True)
    assert len(data_requests(server)) == before


def test_too_small_a_disk_is_said_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=500))
    with pytest.raises(DiskSpaceError, match=r"[\d.]+ k?B are needed and 500 B are free.*"):
        build(server, tmp_path)
    assert data_requests(server) == []


@pytest.mark.slow
def test_the_counts_need_room_too(server, tmp_path, monkeypatch):
    build(server, tmp_path, kinds="title")  # everything is here, and nothing but counts to write
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=50))
    with pytest.raises(DiskSpaceError, match="counted: .* B are needed and 50 B are free"):
        build(server, tmp_path, kinds="unigram", output=str(tmp_path / "second"))
    manifest = build(server, tmp_path, kinds="title", output=str(tmp_path / "second"))
    assert set(manifest["languages"]) == {"de", "fr", "ltg", "other"}


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("held", ["counted", "metadata"])
def test_a_second_run_on_the_same_sources_or_output_is_refused(server, tmp_path, held):
    with driving(str(tmp_path / held), "build-metadata"):
        with pytest.raises(ArtifactError, match=f"{held}: .*works on it already"):
            build(server, tmp_path, "fr", kinds="unigram")
        assert data_requests(server) == []
        assert "fr" in build(server, tmp_path, "fr", kinds="unigram", dry_run=True)
    build(server, tmp_path, "fr", kinds="unigram")
