"""MediaWiki Content File Exports on a server: which is complete, and what is taken instead."""

import pytest

from curate.errors import FetchError, InputError, NotFoundError
from curate.metadata.fetch.download import Fetcher, Retries
from curate.metadata.wikipedia.dump_list import read_dump, written_down
from curate.metadata.wikipedia.dump_names import choose_dumps, dump_name
from curate.metadata.wikipedia.exports import NotCompleteError, find_export, listed_wikis
from curate.metadata.wikipedia.wikimedia import find_dump
from tests.metadata.mirror_server import Fault, MirrorServer

PARTS = {"p1p90": b"BZh9-1", "p91p1000": b"BZh9-22", "p1001p2000": b"BZh9-333"}
LEGACY = {"pages-articles.xml.bz2": b"BZh9-plain"}


@pytest.fixture
def server():
    with MirrorServer() as running:
        yield running


@pytest.fixture
def waits():
    return []


@pytest.fixture
def fetcher(waits):
    made = Fetcher(retries=Retries(attempts=2), wait=waits.append)
    yield made
    made.close()


def test_an_export_has_its_parts_in_order_with_size_and_sha256(server, fetcher):
    server.add_export("eswiki", "2026-07-01", PARTS)
    base = server.add_export("eswiki", "2026-08-01", PARTS)
    dump = find_dump(fetcher, server.url + "/", "es")
    assert (dump.layout, dump.date, dump.said) == ("exports", "20260801", ())
    assert [file.name for file in dump.files] == [
        f"eswiki-2026-08-01-{rest}.xml.bz2" for rest in PARTS
    ]
    assert [file.size_bytes for file in dump.files] == [6, 7, 8]
    assert all(len(file.sha256) == 64 and file.sha1 is None for file in dump.files)
    assert dump.files[0].url == f"{server.url}{base}/{dump.files[0].name}"
    assert server.requests("2026-07-01") == []


def test_what_was_found_is_written_down_beside_a_legacy_dump_of_the_same_day(
    server, fetcher, tmp_path
):
    server.add_export("be_x_oldwiki", "2026-08-01", PARTS)
    server.add_dump("be_x_oldwiki", "20260801", LEGACY)
    export = find_dump(fetcher, server.url, "be_tarask")
    legacy = find_dump(fetcher, server.url, "be_tarask", layout="legacy")
    assert (export.layout, legacy.layout) == ("exports", "legacy")
    export.write(tmp_path)
    legacy.write(tmp_path)
    assert read_dump(tmp_path, "be_tarask") == export
    assert read_dump(tmp_path, "be_tarask", "20260801", "legacy") == legacy
    assert read_dump(tmp_path, "be_tarask", "20260701") is None
    assert written_down(tmp_path, layout="exports") == {"be_tarask"}
    (tmp_path / "be_x_oldwiki-20260801.export.json").write_text("[]")
    with pytest.raises(InputError, match="not readable as the list of a dump's files"):
        read_dump(tmp_path, "be_tarask")


def without(server, base, name):
    del server.files[f"{base}/{name}"]


def with_sums(server, base, text):
    server.files[f"{base}/SHA256SUMS"] += text.encode()


ZERO = "0" * 64
# What is wrong with the newest date, and what is said of it.
BAD = {
    "no _SUCCESS": (lambda s, b: without(s, b, "_SUCCESS"), "has no _SUCCESS: it is not done"),
    "no SHA256SUMS": (lambda s, b: without(s, b, "SHA256SUMS"), "has no SHA256SUMS"),
    "a part not yet there": (
        lambda s, b: without(s, b, "dewiki-2026-08-01-p91p1000.xml.bz2"),
        "lists dewiki-2026-08-01-p91p1000.xml.bz2, which is not there",
    ),
    "a part missing from SHA256SUMS": (
        lambda s, b: s.files.update({f"{b}/dewiki-2026-08-01-p2001p2002.xml.bz2": b"BZh9"}),
        "holds dewiki-2026-08-01-p2001p2002.xml.bz2, of which SHA256SUMS has no sum",
    ),
    "a part of another date": (
        lambda s, b: with_sums(s, b, f"{ZERO}  dewiki-2026-07-01-p2001p2002.xml.bz2\n"),
        "dewiki-2026-07-01-p2001p2002.xml.bz2, which is of another wiki, date or kind",
    ),
    "a part of another wiki": (
        lambda s, b: s.files.update({f"{b}/frwiki-2026-08-01-p1p2.xml.bz2": b"BZh9"}),
        "frwiki-2026-08-01-p1p2.xml.bz2, which is of another wiki, date or kind",
    ),
    "overlapping page ranges": (
        lambda s, _: s.add_export("dewiki", "2026-08-01", {**PARTS, "p1500p3000": b"BZh9"}),
        "p1001p2000.xml.bz2 and dewiki-2026-08-01-p1500p3000.xml.bz2 both have page 1500",
    ),
    "sums of nothing": (
        lambda s, b: [without(s, b, name.rpartition("/")[2]) for name in list(s.files)
                      if name.startswith(b) and name.endswith(".bz2")]
        and s.files.update({f"{b}/SHA256SUMS": b"<html></html>"}),
        "has a SHA256SUMS without any of its parts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_date_that_is_not_complete_is_passed_over_and_said(server, fetcher, name):
    spoil, said = BAD[name]
    server.add_export("dewiki", "2026-07-01", PARTS)
    server.add_dump("dewiki", "20260720", LEGACY)
    spoil(server, server.add_export("dewiki", "2026-08-01", PARTS))
    dump = find_dump(fetcher, server.url, "de")
    assert (dump.layout, dump.date, len(dump.said)) == ("exports", "20260701", 1)
    assert dump.said[0].startswith("the export 2026-08-01 of dewiki ") and said in dump.said[0]
    with pytest.raises(NotCompleteError, match="2026-08-01 of dewiki"):
        find_export(fetcher, server.url, "de", "20260801")


def test_a_part_that_is_listed_and_cannot_be_had_makes_a_date_incomplete(server, fetcher):
    base = server.add_export("dewiki", "2026-08-01", PARTS)
    server.faults[f"{base}/dewiki-2026-08-01-p1p90.xml.bz2"] = [Fault(status=404)]
    with pytest.raises(NotCompleteError, match="p1p90.xml.bz2, which is not there"):
        find_export(fetcher, server.url, "de")


def test_where_there_is_no_complete_export_a_legacy_dump_is_taken_and_said(server, fetcher):
    server.add_dump("dewiki", "20260720", LEGACY)
    # Closed wikis: no folder, or one with nothing in it but what is no date.
    dump = find_dump(fetcher, server.url, "de")
    assert dump.layout == "legacy" and "there are no exports of dewiki" in dump.said[0]
    server.files["/other/mediawiki_content_current/dewiki/readme.html"] = b""
    dump = find_dump(fetcher, server.url, "de")
    assert "there is no export, as of closed wikis; the legacy dump of 20260720" in dump.said[0]
    server.add_export("dewiki", "2026-08-01", PARTS, done=False)
    dump = find_dump(fetcher, server.url, "de")
    assert "has no _SUCCESS: it is not done; the legacy dump of 20260720" in dump.said[0]


def test_a_wiki_that_is_nowhere_is_absent_and_one_whose_export_is_being_made_is_not(
    server, fetcher
):
    with pytest.raises(NotFoundError, match=r"no such wiki on the server.*no exports of xhwiki"):
        find_dump(fetcher, server.url, "xh")
    server.add_export("xhwiki", "2026-08-01", PARTS, done=False)
    with pytest.raises(FetchError, match="has no _SUCCESS") as error:
        find_dump(fetcher, server.url, "xh")
    assert not isinstance(error.value, NotFoundError)


def test_one_layout_alone_and_a_day_of_either(server, fetcher):
    server.add_export("dewiki", "2026-08-01", PARTS)
    server.add_dump("dewiki", "20260901", LEGACY)
    assert find_dump(fetcher, server.url, "de", layout="legacy").date == "20260901"
    assert find_dump(fetcher, server.url, "de", layout="exports").date == "20260801"
    assert find_dump(fetcher, server.url, "de", "20260901").layout == "legacy"
    assert find_dump(fetcher, server.url, "de", "20260801").layout == "exports"
    with pytest.raises(NotFoundError, match="dewiki/2026-09-01/|no export of 2026-09-01"):
        find_dump(fetcher, server.url, "de", "20260901", "exports")


def test_a_server_that_cannot_be_asked_for_exports_is_not_one_without_them(server, fetcher):
    server.add_dump("dewiki", "20260901", LEGACY)
    server.faults["/other/mediawiki_content_current/dewiki/"] = [Fault(status=503)] * 2
    with pytest.raises(FetchError, match="503.*given up"):
        find_dump(fetcher, server.url, "de")


def test_a_server_that_is_busy_is_asked_again_when_it_says(server, fetcher, waits):
    base = server.add_export("dewiki", "2026-08-01", PARTS)
    server.faults[f"{base}/SHA256SUMS"] = [Fault(status=429, retry_after="37")]
    assert find_dump(fetcher, server.url, "de").layout == "exports"
    assert waits == [37.0]


def test_the_wikis_that_have_exports_are_listed(server, fetcher):
    assert listed_wikis(fetcher, server.url) == frozenset()
    for database in ("dewiki", "be_x_oldwiki", "commonswiki", "tokwiki", "dewikibooks"):
        server.add_export(database, "2026-08-01", PARTS)
    assert listed_wikis(fetcher, server.url) == {"de", "be_tarask", "commons", "tok"}


def test_names_of_exports_are_told_from_those_of_dumps():
    found = dump_name("enwiki-2026-08-01-p77r5r900.xml.bz2")
    assert (found.first_page, found.last_page, found.last_revision) == (77, 77, 900)
    assert found.layout == "exports" and found.date == "20260801"
    assert dump_name("enwiki-20260801-pages-articles.xml.bz2").layout == "legacy"
    for name in ("enwikibooks-2026-08-01-p1p2.xml.bz2", "enwiki-2026-08-01-p1p2.xml.bz2.part",
                 "enwiki-2026-08-01-p1p2.sql.gz"):  # fmt: skip
        assert dump_name(name) is None


def test_of_two_layouts_exports_are_chosen_and_of_one_page_the_newest_revision():
    exports = ["dewiki-2026-07-01-p1p9.xml.bz2", "dewiki-2026-08-01-p10p20.xml.bz2",
               "dewiki-2026-08-01-p1p9.xml.bz2", "dewiki-2026-08-01-p5r7r8.xml.bz2",
               "dewiki-2026-08-01-p5r9r10.xml.bz2"]  # fmt: skip
    legacy = ["dewiki-20260901-pages-articles.xml.bz2"]
    names = [*legacy, *exports]
    assert choose_dumps(names) == [exports[2], exports[4], exports[1]]
    assert choose_dumps(names, "20260701") == [exports[0]]
    assert choose_dumps(names, layout="legacy") == choose_dumps(names, "20260901") == legacy
    assert choose_dumps(legacy, layout="exports") == []
