"""From a server with exports beside legacy dumps to the manifest, over loopback."""

import shutil

import pyarrow.parquet as pq
import pytest

from curate.errors import InputError, UsageError
from curate.metadata.fetch.download import CONNECTIONS_PER_HOST
from curate.pipelines.build_metadata.manifest import articles_of, in_short, metadata_table
from tests.metadata.mirror_server import Fault
from tests.pipelines.helpers import contents
from tests.pipelines.mirror_world import (
    DAYS,
    WORDS,
    build,
    data_requests,
    entries,
    mirror_world,
    options,
    put_up,
    put_up_export,
)

TOK = [("Soweli", "soweli loje li lili. " * 9), ("Telo", "telo li pona. " * 9)]


@pytest.fixture
def server():
    """Three legacy dumps, exports of two of them, and a new Wikipedia; Latgalian is closed."""
    with mirror_world() as running:
        for wiki in ("de", "fr"):
            put_up_export(running, wiki, WORDS[wiki])
        put_up_export(running, "tok", TOK)
        for other in ("commons", "ten", "species"):
            put_up_export(running, other, TOK[:1])
        yield running


def tables(folder):
    return {path.name: pq.read_table(path) for path in sorted(folder.glob("metadata/*.parquet"))}


@pytest.mark.slow
def test_all_of_both_layouts_from_download_to_manifest(server, tmp_path, capfd):
    found = {
        layout: build(server, tmp_path / layout, changed={"dumps_layout": layout}, quiet=False)
        for layout in ("auto", "legacy")
    }
    said = capfd.readouterr().err
    assert set(found["auto"]["languages"]) == {"de", "fr", "ltg", "other"}
    assert tables(tmp_path / "auto") == tables(tmp_path / "legacy")
    for lang, layout, date, num in (
        ("de", "exports", "2026-08-01", 2), ("fr", "exports", "2026-08-01", 1),
        ("ltg", "legacy", "2026-01-01", 1),
    ):  # fmt: skip
        row = {"wiki": lang, "layout": layout, "date": date, "files": num}
        assert found["auto"]["languages"][lang]["articles"] == [row]
        assert found["legacy"]["languages"][lang]["articles"][0]["layout"] == "legacy"
    pages = found["auto"]["languages"]["de"]["report"]["pages"]
    assert pages == {"article": 2, "other_namespace": 2}
    fell_back = "the server lists no export of ltg; the legacy dump of 20260101 is taken"
    assert found["auto"]["said"] == {"ltg": [fell_back]} and f"ltg: {fell_back}" in said
    assert found["auto"]["beyond_table"] == ["tok"]
    assert "on the server, and not in the table of Wikipedias: tok. Name one" in said
    shown = metadata_table(found["auto"])
    assert "export 2026-08-01" in shown and "dump 2026-01-01" in shown
    assert "most viewed, missing" in shown and "0.0%" in shown
    assert server.busiest <= CONNECTIONS_PER_HOST == 3
    agents = {seen.user_agent for seen in server.seen}
    assert len(agents) == 1 and agents.pop().startswith("curate/")
    before, written = len(data_requests(server)), contents(tmp_path / "auto")
    build(server, tmp_path / "auto")
    assert len(data_requests(server)) == before and contents(tmp_path / "auto") == written


@pytest.mark.slow
def test_exports_that_are_dropped_one_by_one_give_the_same(server, tmp_path):
    build(server, tmp_path / "kept", "de")
    build(server, tmp_path / "dropped", "de", changed={"keep": False}, workers=2)
    assert tables(tmp_path / "kept") == tables(tmp_path / "dropped")
    assert not list((tmp_path / "dropped").glob("*/*.bz2"))
    notes = {path.name for path in (tmp_path / "dropped/dumps").glob("*.json")}
    assert "dewiki-20260801.export.json" in notes


def test_a_download_that_is_cut_off_goes_on_and_a_garbled_one_is_noticed(server, tmp_path):
    parts = [f"/other/mediawiki_content_current/dewiki/2026-08-01/xml/bzip2/dewiki-2026-08-01-{p}"
             for p in ("p1p10.xml.bz2", "p11p20.xml.bz2")]  # fmt: skip
    server.faults[parts[0]] = [Fault(), Fault(close_after=40)]  # the first asks for the size
    server.faults[parts[1]] = [Fault(), Fault(garbled=True)]
    build(server, tmp_path, "de")
    assert [seen.first_byte for seen in server.requests("p1p10.xml")] == [0, 40]
    assert [seen.first_byte for seen in server.requests("p11p20.xml")] == [0, 0]
    shutil.rmtree(tmp_path)
    server.faults[parts[1]] = [Fault(), Fault(garbled=True), Fault(garbled=True)]
    with pytest.raises(InputError, match="sha256 .* is listed, in two downloads"):
        build(server, tmp_path, "de")


def test_a_date_or_a_layout_can_be_named(server, tmp_path):
    put_up_export(server, "de", WORDS["fr"], "2026-09-01", done=False)
    plan = build(server, tmp_path, "de", dry_run=True)
    assert "from dewiki-2026-08-01-p1p10" in plan["de"]
    assert "the export 2026-09-01 of dewiki has no _SUCCESS" in plan["de"]
    for day in ("2026-08-01", "20260801"):
        plan = build(server, tmp_path, "de", dry_run=True, changed={"dump_date": day})
        assert "from dewiki-2026-08-01-p1p10" in plan["de"]
    plan = build(server, tmp_path, "de", dry_run=True, changed={"dumps_layout": "legacy"})
    assert "from dewiki-20260101-pages-articles1" in plan["de"]
    with pytest.raises(UsageError, match="--dumps-layout is 'new'; expected auto, exports, legacy"):
        build(server, tmp_path, "de", changed={"dumps_layout": "new"})


def test_a_wikipedia_newer_than_the_table_is_built_by_its_code(server, tmp_path, capfd):
    server.add_day(DAYS[0], ["tok.wikipedia Telo 1 desktop 5 A5"])
    manifest = build(server, tmp_path, "tok", quiet=False)
    assert entries(tmp_path, "tok", "title") == [("Telo", 5.0)]
    assert ("soweli", 9.0) in entries(tmp_path, "tok", "unigram")
    made = manifest["languages"]["tok"]
    assert made["report"]["script"] == "Latn" and made["report"]["segmenter"] == "regex"
    said = capfd.readouterr().err
    assert "tok: not in the table of Wikipedias. Its text is written in Latn; no label" in said
    with pytest.raises(UsageError, match="unknown language 'abc'; expected codes"):
        build(server, tmp_path, "abc")
    with pytest.raises(UsageError, match="unknown language 'tok';"):
        build(server, tmp_path, "tok", kinds="wordnet")


def test_most_viewed_titles_that_an_export_lacks_are_told(server, tmp_path, capfd):
    """As of exports that lack what was edited while they were made."""
    server.add_day(
        DAYS[0],
        ["de.wikipedia Berlin_am_See 1 desktop 7 A7",
         "de.wikipedia Gerade_bearbeitet 9 desktop 90 A90",
         "de.wikipedia Spezial:Suche null desktop 900 A900",
         "de.wikipedia - null desktop 900 A900"],
    )  # fmt: skip
    manifest = build(server, tmp_path, "de", quiet=False)
    viewed = manifest["languages"]["de"]["report"]["most_viewed"]
    assert (viewed["titles"], viewed["missing"], viewed["missing_share"]) == (3, 1, 0.3333)
    assert viewed["examples"] == ["Gerade bearbeitet"] and viewed["missing_views_share"] > 0.7
    said = capfd.readouterr().err
    assert "33.3% of the 3 most viewed titles are not in export 2026-08-01, such as 'Gerade" in said
    assert "T431872" in said and "33.3%" in metadata_table(manifest)


def own_folder(server, tmp_path, nested):
    for path, body in server.files.items():
        if "dewiki/2026-08-01" in path:
            to = tmp_path / "dumps" / path.removeprefix("/other/mediawiki_content_current/")
            to = to if nested else tmp_path / "dumps" / to.name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(body)
    return next((tmp_path / "dumps").rglob("SHA256SUMS"))


@pytest.mark.parametrize("nested", [False, True])
def test_an_own_folder_is_known_by_its_names(server, tmp_path, nested):
    sums = own_folder(server, tmp_path, nested)
    offline = options(server, mirror=None, whole_mirror=False)
    manifest = build(server, tmp_path, "de", kinds="unigram", options=offline)
    assert manifest["languages"]["de"]["articles"] == [
        {"wiki": "de", "layout": "exports", "date": "2026-08-01", "files": 2}
    ]
    assert manifest["languages"]["de"]["report"]["pages"]["article"] == 2
    assert data_requests(server) == []
    part = sums.with_name("dewiki-2026-08-01-p1p10.xml.bz2")
    body = part.read_bytes()
    part.write_bytes(body + b"more")
    with pytest.raises(InputError, match=r"sha256 \w+ where SHA256SUMS lists"):
        build(server, tmp_path, "de", kinds="unigram", options=offline, overwrite=True)
    part.unlink()
    with pytest.raises(InputError, match="lists dewiki-2026-08-01-p1p10.xml.bz2, which is not the"):
        build(server, tmp_path, "de", kinds="unigram", options=offline, overwrite=True)
    part.write_bytes(body)
    sums.with_name("dewiki-2026-08-01-p5p30.xml.bz2").write_bytes(body)
    with pytest.raises(InputError, match="both have page 5"):
        build(server, tmp_path, "de", kinds="unigram", options=offline, overwrite=True)


def test_own_legacy_dumps_as_a_server_has_them(server, tmp_path):
    put_up(server, "de", WORDS["de"], "20260301")
    for path, body in server.files.items():
        if path.startswith("/dewiki/"):
            (tmp_path / "dumps" / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "dumps" / path[1:]).write_bytes(body)
    manifest = build(server, tmp_path, "de", kinds="unigram", options=options(server, mirror=None))
    assert in_short(manifest["languages"]["de"]["articles"]) == "dump 2026-03-01"


def test_what_articles_are_from_is_said_of_all_kinds():
    files = ["20231101.zh-yue/train-00000-of-00001.parquet", "zhwiki-pages-articles.xml.bz2",
             "enwiki-api-20260801-10.parquet"]  # fmt: skip
    found = articles_of({"dumps": [{"file": name} for name in files]})
    assert [(row["wiki"], row["layout"], row["date"]) for row in found][:2] == [
        ("zh_yue", "parquet", "2023-11-01"),
        ("zh", "legacy", None),
    ]
    assert found[2]["layout"] == "api" and articles_of({}) == []
    assert in_short(found[:2]) == "Parquet 2023-11-01, dump" and in_short([]) is None
