import json
from datetime import date

import pytest

from curate.errors import FetchError, InputError, NotFoundError, UsageError
from curate.metadata.fetch.download import Fetcher, Retries
from curate.metadata.languages import WIKIPEDIA_CODES
from curate.metadata.wikipedia.dump_list import read_dump
from curate.metadata.wikipedia.dump_names import choose_dumps, database_name, dump_name
from curate.metadata.wikipedia.wikimedia import find_dump, pageview_files, sample_days
from tests.metadata.mirror_server import Fault, MirrorServer

PLAIN = {"pages-articles.xml.bz2": b"BZh9-plain"}
PARTS = {
    "pages-articles1.xml-p1p100.bz2": b"BZh9-1",
    "pages-articles2.xml-p101p200.bz2": b"BZh9-22",
    "pages-articles10.xml-p1001p2000.bz2": b"BZh9-333",
}
MULTISTREAM = {
    "pages-articles-multistream.xml.bz2": b"BZh9-multi",
    "pages-articles-multistream-index.txt.bz2": b"BZh9-index",
}


@pytest.fixture
def server():
    with MirrorServer() as running:
        yield running


@pytest.fixture
def fetcher():
    made = Fetcher(retries=Retries(attempts=2), wait=lambda _: None)
    yield made
    made.close()


def names(dump):
    return [file.name.split("-", 2)[2] for file in dump.files]


def test_latest_is_the_newest_dump_whose_articles_are_done(server, fetcher):
    server.add_dump("dewiki", "20251201", PLAIN)
    server.add_dump("dewiki", "20260101", PLAIN)
    server.add_dump("dewiki", "20260120", PLAIN, status="in-progress")
    server.files["/dewiki/20260201/begun.txt"] = b""
    dump = find_dump(fetcher, server.url, "de")
    assert (dump.wiki, dump.date, dump.job) == ("de", "20260101", "articlesdump")
    (file,) = dump.files
    assert file.url == f"{server.url}/dewiki/20260101/dewiki-20260101-pages-articles.xml.bz2"
    assert (file.size_bytes, len(file.sha1)) == (10, 40)
    assert server.requests("20251201") == []


def test_a_day_can_be_named(server, fetcher):
    server.add_dump("dewiki", "20251201", PLAIN)
    server.add_dump("dewiki", "20260101", PLAIN)
    assert find_dump(fetcher, server.url, "de", "20251201").date == "20251201"
    with pytest.raises(NotFoundError, match="20240101"):
        find_dump(fetcher, server.url, "de", "20240101")


@pytest.mark.parametrize(
    ("jobs", "job", "found"),
    [
        ({"articlesdump": PARTS, "articlesdumprecombine": PLAIN}, "articlesdump", list(PARTS)),
        (
            {"articlesdumprecombine": PLAIN, "articlesmultistreamdump": MULTISTREAM},
            "articlesdumprecombine",
            ["pages-articles.xml.bz2"],
        ),
        (
            {"articlesmultistreamdump": MULTISTREAM},
            "articlesmultistreamdump",
            ["pages-articles-multistream.xml.bz2"],
        ),
    ],
)
def test_plain_before_multistream_and_parts_in_the_order_of_their_pages(
    server, fetcher, jobs, job, found
):
    for name, files in jobs.items():
        server.add_dump("enwiki", "20260101", files, job=name)
    dump = find_dump(fetcher, server.url + "/", "en")
    assert (dump.job, names(dump)) == (job, found)


def test_a_job_that_is_not_done_is_passed_over(server, fetcher):
    server.add_dump("enwiki", "20260101", PARTS, status="in-progress")
    server.add_dump("enwiki", "20260101", MULTISTREAM, job="articlesmultistreamdump")
    assert find_dump(fetcher, server.url, "en", "20260101").job == "articlesmultistreamdump"
    server.add_dump("enwiki", "20260201", PARTS, status="waiting")
    with pytest.raises(FetchError, match="20260201/: the dump of articles is not complete"):
        find_dump(fetcher, server.url, "en", "20260201")


def test_checksums_that_the_status_leaves_out_are_in_their_own_file(server, fetcher):
    server.add_dump("enwiki", "20260101", PARTS, sha1=False)
    assert all(len(file.sha1) == 40 for file in find_dump(fetcher, server.url, "en").files)
    del server.files["/enwiki/20260101/enwiki-20260101-sha1sums.txt"]
    assert [file.sha1 for file in find_dump(fetcher, server.url, "en").files] == [None] * 3


@pytest.mark.parametrize("fault", [Fault(html=True), Fault(status=404)])
def test_a_mirror_that_lists_no_folders_has_a_feed(server, fetcher, fault):
    server.add_dump("enwiki", "20260101", PLAIN)
    server.faults["/enwiki/"] = [fault]
    server.files["/enwiki/latest/enwiki-latest-pages-articles.xml.bz2-rss.xml"] = (
        b"<link>https://dumps.wikimedia.org/enwiki/20260101</link>"
    )
    assert find_dump(fetcher, server.url, "en").date == "20260101"


def test_the_database_of_a_renamed_wiki_keeps_its_name(server, fetcher):
    server.add_dump("be_x_oldwiki", "20260101", PLAIN)
    server.add_dump("zh_yuewiki", "20260101", PLAIN)
    assert names(find_dump(fetcher, server.url, "be_tarask")) == ["pages-articles.xml.bz2"]
    assert names(find_dump(fetcher, server.url, "zh_yue")) == ["pages-articles.xml.bz2"]
    for wiki in WIKIPEDIA_CODES:
        name = f"{database_name(wiki)}-20260101-pages-articles.xml.bz2"
        assert dump_name(name).wiki == wiki


def test_a_wiki_that_is_not_there(server, fetcher):
    server.add_dump("enwiki", "20260101", PLAIN)
    with pytest.raises(NotFoundError, match="/frwiki/"):
        find_dump(fetcher, server.url, "fr")
    server.add_dump("enwiki", "20260101", PLAIN, status="failed")
    with pytest.raises(FetchError, match="no complete dump of articles, among 20260101"):
        find_dump(fetcher, server.url, "en")


@pytest.mark.parametrize(
    "status",
    [b"<html>", b"[]", b"{}", b'{"jobs": {"articlesdump": []}}',
     b'{"jobs": {"articlesdump": {"status": "done", "files": '
     b'{"enwiki-20260101-pages-articles.xml.bz2": {}}}}}'],
)  # fmt: skip
def test_a_status_that_cannot_be_read_is_an_error(server, fetcher, status):
    server.files["/enwiki/20260101/dumpstatus.json"] = status
    with pytest.raises(FetchError, match="dumpstatus.json: not readable as the status of a dump"):
        find_dump(fetcher, server.url, "en")


def test_names_that_lead_elsewhere_are_no_files_of_the_dump(server, fetcher):
    server.add_dump("enwiki", "20260101", PLAIN)
    path = "/enwiki/20260101/dumpstatus.json"
    status = json.loads(server.files[path])
    files = status["jobs"]["articlesdump"]["files"]
    (values,) = files.values()
    for name in ("../../x.xml.bz2", "dewiki-20260101-pages-articles.xml.bz2", "/etc/x.xml.bz2"):
        files[name] = values
    server.files[path] = json.dumps(status).encode()
    assert names(find_dump(fetcher, server.url, "en")) == ["pages-articles.xml.bz2"]


def test_what_was_found_is_written_down(server, fetcher, tmp_path):
    assert read_dump(tmp_path, "en") is None
    for day in ("20260101", "20260201"):
        server.add_dump("enwiki", day, PARTS)
        find_dump(fetcher, server.url, "en", day).write(tmp_path)
    assert read_dump(tmp_path, "en") == find_dump(fetcher, server.url, "en", "20260201")
    assert read_dump(tmp_path, "en", "20260101").date == "20260101"
    moved = read_dump(tmp_path, "en").at("http://other/dumps")
    assert moved.files[0].url == (
        "http://other/dumps/enwiki/20260201/enwiki-20260201-pages-articles1.xml-p1p100.bz2"
    )
    (tmp_path / "enwiki-20260201.dump.json").write_text("{}")
    with pytest.raises(InputError, match="enwiki-20260201.dump.json: not readable.*Remove it"):
        read_dump(tmp_path, "en")


@pytest.mark.parametrize(
    "name",
    ["enwiki-20260101-pages-articles-multistream-index.txt.bz2", "enwiki-20260101-sha1sums.txt",
     "enwiki-20260101-stub-meta-history.xml.gz", "enwiki-20260101-pages-meta-current.xml.bz2",
     "enwiki-20260101-abstract.xml.gz", "enwiki-latest-pages-articles.xml.bz2-rss.xml",
     "enwiki-20260101-pages-articles.xml.bz2.part", "notes.xml", "enwiki.txt"],
)  # fmt: skip
def test_names_of_other_files(name):
    assert dump_name(name) is None


@pytest.mark.parametrize(
    ("name", "wiki", "day"),
    [
        ("enwiki.xml.bz2", "en", ""),
        ("enwiki-206pages.xml.bz2", "en", ""),
        ("ltgwiki-pages-articles.xml.bz2", "ltg", ""),
        ("roa_rupwiki-20260101-pages-articles.xml", "roa_rup", "20260101"),
        ("enwiki-latest-pages-articles.xml.bz2", "en", ""),
        ("simplewiki-20231101.parquet", "simple", "20231101"),
        ("enwiki-20260101-pages-articles-multistream27.xml-p1p9.bz2", "en", "20260101"),
    ],
)
def test_names_of_dumps(name, wiki, day):
    found = dump_name(name)
    assert (found.wiki, found.date) == (wiki, day)


A = "enwiki-20260101-"


@pytest.mark.parametrize(
    ("there", "day", "chosen"),
    [
        ([A + p for p in (*PARTS, *PLAIN)], None, [A + "pages-articles.xml.bz2"]),
        ([A + p for p in sorted(PARTS)], None, [A + p for p in PARTS]),
        ([A + "pages-articles-multistream.xml.bz2", A + "p.parquet"], None,
         [A + "pages-articles-multistream.xml.bz2"]),
        ([A + "pages-articles.xml.bz2", "enwiki-20260201.parquet"], None,
         ["enwiki-20260201.parquet"]),
        ([A + "pages-articles.xml.bz2", "enwiki-20260201.parquet"], "20260101",
         [A + "pages-articles.xml.bz2"]),
        ([A + "pages-articles.xml.bz2"], "20260201", []),
        (["enwiki-b.xml.bz2", "enwiki-a.xml.bz2"], None, ["enwiki-a.xml.bz2", "enwiki-b.xml.bz2"]),
        ([A + "api-5-abc.parquet", "notes.txt"], None, []),
    ],
)  # fmt: skip
def test_every_article_once(there, day, chosen):
    assert choose_dumps(there, day) == chosen


def test_days_are_drawn_by_hash_and_nested():
    first, last = date(2018, 1, 1), date(2024, 12, 31)
    forty = sample_days(40, first, last)
    assert len(set(forty)) == 40 and forty == sorted(forty)
    assert first <= forty[0] and forty[-1] <= last
    assert set(sample_days(10, first, last)) < set(forty)
    assert sample_days(40, first, last, seed=1) != forty
    # Seven years: the chance that a fair draw of 40 misses one is 7 (6/7)^40 = 0.015.
    assert {day.year for day in forty} == set(range(2018, 2025))
    assert len(sample_days(99, first, date(2018, 1, 31))) == 31
    with pytest.raises(UsageError, match="--pageview-days is 0"):
        sample_days(0, first, last)
    with pytest.raises(UsageError, match="2024-12-31 is after --pageview-to 2018-01-01"):
        sample_days(1, last, first)


def test_page_views_are_where_the_server_has_them():
    (daily,) = pageview_files("http://mirror/", date(2024, 2, 3))
    assert daily.url == (
        "http://mirror/other/pageview_complete/2024/2024-02/pageviews-20240203-user.bz2"
    )
    hours = pageview_files("http://mirror", date(2024, 2, 3), "hourly")
    assert len(hours) == 24
    assert hours[9].url == "http://mirror/other/pageviews/2024/2024-02/pageviews-20240203-090000.gz"
    assert hours[9].date == "20240203"
