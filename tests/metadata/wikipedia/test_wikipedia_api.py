import pyarrow.parquet as pq
import pytest

from curate.errors import FetchError, InputError
from curate.metadata.fetch.download import Retries
from curate.metadata.fetch.notes import read_source
from curate.metadata.wikipedia.api import fetch_articles
from tests.metadata.mirror_server import Fault, MirrorServer

HUND = "Der Hund ist ein Haustier.\n\n\n== Name ==\nHund heißt Hund.\n\n\n=== Herkunft ===\nAlt."
PATH = "/de/w/api.php"


@pytest.fixture
def server():
    articles = {
        ("de", "Hund"): HUND,
        ("de", "Katze"): "Eine Katze.",
        ("de", "Leer"): "",
        ("zh-yue", "狗"): "狗係動物。",
    }
    redirects = {("de", "Hunde"): "Hund"}
    with MirrorServer(articles=articles, redirects=redirects) as running:
        yield running


def fetch(server, folder, titles, *, wiki="de", num=9, **options):
    return fetch_articles(
        wiki,
        titles,
        folder / f"{wiki}wiki-api.parquet",
        num=num,
        api_url=server.url + "/{project}/w/api.php",
        retries=Retries(attempts=3, first_wait_s=0.001, timeout_s=1.0),
        **options,
    )


def rows(folder, wiki="de"):
    return [
        tuple(r.values()) for r in pq.read_table(folder / f"{wiki}wiki-api.parquet").to_pylist()
    ]


def test_articles_come_as_plain_text_with_headings(server, tmp_path):
    source = fetch(server, tmp_path, ["Hund", "Katze"], contact="me@example.org")
    assert rows(tmp_path) == [
        ("Hund", "Der Hund ist ein Haustier.\n\nName\nHund heißt Hund.\n\nHerkunft\nAlt."),
        ("Katze", "Eine Katze."),
    ]
    assert read_source(tmp_path / "dewiki-api.parquet") == source
    assert source.url == server.url + "/de/w/api.php"
    assert all("me@example.org" in seen.user_agent for seen in server.seen)


def test_what_is_no_article_does_not_count(server, tmp_path):
    titles = ["Spezial:Suche", "Hunde", "Hund", "Nichts", "Leer", "Katze", "Hund"]
    fetch(server, tmp_path, titles, num=2)
    assert [title for title, _ in rows(tmp_path)] == ["Hund", "Katze"]


def test_enough_is_enough(server, tmp_path):
    told = []
    fetch(server, tmp_path, ["Hund", "Katze"], num=1, on_article=told.append)
    assert [title for title, _ in rows(tmp_path)] == ["Hund"] and told == [1]


def test_a_wiki_is_asked_under_its_project_name(server, tmp_path):
    fetch(server, tmp_path, ["狗"], wiki="zh_yue")
    assert rows(tmp_path, "zh_yue") == [("狗", "狗係動物。")]


def test_a_busy_api_is_asked_again(server, tmp_path):
    server.faults[PATH] = [Fault(status=503), Fault(status=429, retry_after="0")]
    fetch(server, tmp_path, ["Hund"])
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=503), "'Hund' could not be had .*503.*run the same command again"),
        (Fault(status=429, retry_after="0"), "WikiRateLimitError"),
        (Fault(status=404), "WikiHttpError"),
        (Fault(html=True), "WikiInvalidJsonError"),
    ],
)
def test_an_api_that_does_not_answer_is_said(server, tmp_path, fault, message):
    server.faults[PATH] = [fault] * 20
    with pytest.raises(FetchError, match=message):
        fetch(server, tmp_path, ["Hund"])
    assert not (tmp_path / "dewiki-api.parquet").exists()


def test_what_came_before_is_not_asked_for_again(server, tmp_path):
    server.faults[PATH] = [Fault(), *[Fault(status=503)] * 3]
    with pytest.raises(FetchError, match="What has come is kept"):
        fetch(server, tmp_path, ["Hund", "Katze"])
    part = tmp_path / "dewiki-api.parquet.part"
    part.write_bytes(part.read_bytes() + b'["Katze", "Kat')
    before = len(server.seen)
    fetch(server, tmp_path, ["Hund", "Katze"])
    assert [title for title, _ in rows(tmp_path)] == ["Hund", "Katze"]
    assert len(server.seen) - before == 1 and not part.exists()


def test_no_article_at_all_is_an_error(server, tmp_path):
    with pytest.raises(InputError, match="none of the titles asked for is an article"):
        fetch(server, tmp_path, ["Nichts"])
    assert not (tmp_path / "dewiki-api.parquet").exists()


def test_an_api_without_extracts_is_named(server, tmp_path):
    server.extracts = False
    with pytest.raises(FetchError, match="has no 'extract'.*--api-url"):
        fetch(server, tmp_path, ["Hund"])
