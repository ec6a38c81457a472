"""`--corpus api`: the most viewed articles through the MediaWiki API of a server on loopback."""

import sys
from datetime import date

import pyarrow.parquet as pq
import pytest

from curate.errors import MissingExtraError
from curate.metadata.fetch.download import Retries
from curate.pipelines.build_metadata.api_corpus import api_file, fetch_api_file
from curate.pipelines.build_metadata.fetch_sources import Sources
from curate.pipelines.build_metadata.find_sources import SourceOptions
from curate.pipelines.build_metadata.own_dumps import own_dumps
from curate.pipelines.build_metadata.pageview_sample import count_sample, find_sample
from curate.pipelines.build_metadata.stage import build_languages
from tests.metadata.mirror_server import MirrorServer

DAY = date(2024, 1, 1)
ARTICLES = {
    ("ltg", "Rūma"): "Rūma ir pylsāta. " * 9,
    ("ltg", "Reiga"): "Reiga ir pylsāta. " * 9,
    ("ltg", "Daugovpiļs"): "Daugovpiļs ir pylsāta. " * 9,
}
VIEWS = ("Specialuo:Maklet 99", "Reiga 9", "Rome 8", "Nav 7", "Daugovpiļs 2")


@pytest.fixture
def server():
    redirects = {("ltg", "Rome"): "Rūma"}
    with MirrorServer(articles=dict(ARTICLES), redirects=redirects) as running:
        lines = [f"ltg.wikipedia {v.split()[0]} 1 desktop {v.split()[1]} A1" for v in VIEWS]
        running.add_day(f"{DAY:%Y%m%d}", lines)
        yield running


def options(server, **changed):
    values = {
        "mirror": server.url,
        "corpus": "api",
        "max_articles": 2,
        "api_url": server.url + "/{project}/w/api.php",
        "pageview_days": 1,
        "pageview_from": DAY,
        "pageview_to": DAY,
        "retries": Retries(attempts=2, first_wait_s=0.001, timeout_s=2.0),
        **changed,
    }
    return SourceOptions(**values)


def fetch(server, folder, **changed):
    sources = Sources(str(folder / "dumps"), options(server, **changed))
    try:
        sample = find_sample(str(folder / "views"), sources)
        counted = count_sample(sample, sources, str(folder / "counted"), workers=1, quiet=True)
        file = api_file("ltg", sources, sample)
        fetch_api_file("ltg", file, counted.paths, sources)
        return file
    finally:
        sources.close()


def test_the_most_viewed_articles_come_first_and_only_once(server, tmp_path):
    file = fetch(server, tmp_path)
    assert pq.read_table(file.path).column("title").to_pylist() == ["Reiga", "Rūma"]
    before = len(server.seen)
    assert fetch(server, tmp_path) == file and len(server.seen) == before


def test_another_question_is_another_file_and_none_is_a_dump_of_somebody(server, tmp_path):
    files = {fetch(server, tmp_path).name, fetch(server, tmp_path, max_articles=3).name}
    assert len(files) == 2 and all(name.startswith("ltgwiki-api-") for name in files)
    assert own_dumps(str(tmp_path / "dumps")) == {}


def test_without_the_package_it_says_what_to_install(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wikipediaapi", None)
    monkeypatch.delitem(sys.modules, "curate.metadata.wikipedia.api", raising=False)
    with pytest.raises(
        MissingExtraError, match=r"--corpus api needs .*pip install 'curate-clip\[api\]'"
    ):
        fetch(server, tmp_path)


def test_a_language_from_the_api_to_its_entries(server, tmp_path):
    manifest = build_languages(
        "ltg",
        kinds="unigram,bigram,title",
        dumps=str(tmp_path / "dumps"),
        pageviews=str(tmp_path / "views"),
        wordnet_dir=None,
        output=str(tmp_path / "metadata"),
        overrides={"unigram_top_share": 1.0, "bigram_max_share": 1.0, "title_top_share": 1.0},
        options=options(server),
        scratch=str(tmp_path / "counted"),
        quiet=True,
    )
    made = manifest["languages"]["ltg"]["made_from"]
    assert made["dumps"][0]["url"] == server.url + "/ltg/w/api.php"
    rows = pq.read_table(tmp_path / "metadata/ltg.parquet").to_pylist()
    found = {row["entry"]: row["source"] for row in rows}
    assert found["pylsāta"] == "unigram" and found["ir pylsāta"] == "bigram"
    assert "Daugovpiļs" not in found
