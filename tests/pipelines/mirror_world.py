"""A small world of Wikipedias on a server, and `build-metadata` on it."""

import bz2
from contextlib import contextmanager
from datetime import date

import pyarrow.parquet as pq

from curate.metadata.fetch.download import Retries
from curate.metadata.languages import metadata_languages
from curate.metadata.wikipedia.wikimedia import sample_days
from curate.pipelines.build_metadata.find_sources import SourceOptions
from curate.pipelines.build_metadata.stage import build_languages
from tests.metadata.export_xml import page
from tests.metadata.export_xml import part as export_part
from tests.metadata.mirror_server import MirrorServer

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 31)
DAYS = [f"{day:%Y%m%d}" for day in sample_days(3, FIRST, LAST)]
PAGE = "<page><title>{}</title><ns>0</ns><revision><text>{}</text></revision></page>"
WORDS = {
    "de": [("Roter Hund", "Ein roter Hund. " * 9), ("Berlin am See", "Berlin ist gross. " * 9)],
    "fr": [("Chien", "Le chien rouge. " * 9)],
    "ltg": [("Rūma", "Rūma ir pylsāta. " * 9)],
}
FEW = {*WORDS, "en", "es", "it", "nl", "pt", "sh", "sv", "zh"}
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


def put_up_export(server, wiki, pages, date="2026-08-01", *, done=True):
    """Put up an export in as many parts as there are articles, each with its talk page."""
    parts = {}
    for number, (title, text) in enumerate(pages):
        first = 10 * number + 1
        parts[f"p{first}p{first + 9}"] = export_part(
            page(first, title, text), page(first + 1, f"Talk:{title}", "Chat. " * 99, ns=1)
        )
    return server.add_export(f"{wiki}wiki", date, parts, done=done)


@contextmanager
def mirror_world():
    """Serve three Wikipedias, and the page views of two of three days drawn."""
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


def few_languages(monkeypatch):
    """Let `--lang all` ask for 40 Wikipedias; test_layouts and test_minidumps ask for all."""
    few = tuple(code for code in metadata_languages() if code in FEW or code < "bi")
    monkeypatch.setattr("curate.pipelines.build_metadata.plan.metadata_languages", lambda: few)


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
