"""Pages that say no to training: their pairs are left out, and counted by what says so."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.extract.pages import PageOptions
from tests.pipelines.crawl_helpers import extract, response, rows, wat_record, write_crawl
from tests.pipelines.helpers import match, write_metadata

IMAGES = "<img src=a.png alt='a red car'><img src=b.png alt='a blue car'><img src=c.png>"


def page(*metas, **headers):
    elements = "".join(f'<meta name="{n}" content="{c}">' for n, c in metas)
    return response(f"<html><head>{elements}</head>{IMAGES}", **headers)


def extracted(tmp_path, one, **options):
    path = write_crawl(tmp_path / "a.warc.gz", [one])
    return extract([path], tmp_path / "pairs", page=PageOptions(**options))


@pytest.mark.parametrize(
    ("one", "signals"),
    [
        (page(("robots", "noai, noimageai")), ["meta robots noai", "meta robots noimageai"]),
        (page(("ROBOTS", "NoImageAI")), ["meta robots noimageai"]),
        (page(("curate", "none")), ["meta robots none"]),
        (page(("tdm-reservation", "1")), ["meta tdm-reservation"]),
        (page(X_Robots_Tag="noai"), ["x-robots-tag noai"]),
        (page(Content_Usage="train-ai=n"), ["content-usage"]),
        (page(Content_Usage="search=y, train-ai=n;why=1"), ["content-usage"]),
        (page(tdm_reservation="1", tdm_policy="https://x.example/p"), ["tdm-reservation"]),
    ],
)
def test_each_way_to_say_no_is_heard(tmp_path, one, signals):
    found = extracted(tmp_path, one)
    assert found["pairs"] == 0 and found["dropped"] == {"no_text": 1, "opted_out": 2}
    assert found["opt_outs"] == {f"deny: {name}": 2 for name in signals}
    assert found["read"] == found["pairs"] + sum(found["dropped"].values())


@pytest.mark.parametrize(
    ("one", "signals"),
    [
        (page(), {}),
        (page(("robots", "index, nofollow")), {}),
        (page(("googlebot", "noai")), {}),
        (page(X_Robots_Tag="otherbot: noai"), {}),
        (page(Content_Usage="train-ai=y"), {"allow: content-usage": 2}),
        (page(tdm_reservation="0"), {"allow: tdm-reservation": 2}),
        (page(Content_Usage="train-everything=n"), {"unknown: content-usage": 2}),
        (page(Content_Usage="train-ai=maybe"), {"unknown: content-usage": 2}),
        (page(Content_Usage='train-ai="n"'), {"unknown: content-usage": 2}),
        (page(Content_Usage="train-ai=n,"), {"malformed: content-usage": 2}),
        (page(Content_Usage="Train-AI=n"), {"malformed: content-usage": 2}),
        (page(Content_Usage="train-ai=y, " + "x" * 9000), {"malformed: content-usage": 2}),
        (page(tdm_reservation="true"), {"malformed: tdm-reservation": 2}),
        (page(("tdm-reservation", "")), {"malformed: meta tdm-reservation": 2}),
    ],
)
def test_what_is_no_denial_keeps_the_pairs_and_is_counted(tmp_path, one, signals):
    found = extracted(tmp_path, one)
    assert (found["pairs"], found["dropped"], found["opt_outs"]) == (2, {"no_text": 1}, signals)


def test_of_two_that_disagree_the_stricter_holds(tmp_path):
    both = page(("tdm-reservation", "0"), tdm_reservation="1", Content_Usage="train-ai=y")
    found = extracted(tmp_path, both)
    assert found["pairs"] == 0 and found["dropped"]["opted_out"] == 2
    assert found["opt_outs"] == {
        "allow: content-usage": 2, "allow: meta tdm-reservation": 2, "deny: tdm-reservation": 2,
    }  # fmt: skip


def test_a_header_that_stands_twice_is_read_twice(tmp_path):
    twice = page(Content_Usage="train-ai=n\r\nContent-Usage: train-ai=y")
    assert extracted(tmp_path, twice)["opt_outs"] == {
        "allow: content-usage": 2, "deny: content-usage": 2,
    }  # fmt: skip


def test_a_wat_record_is_heard_as_its_page(tmp_path):
    links = [{"path": "IMG@/src", "url": "a.png", "alt": "a red car"}]
    metas = [{"name": "robots", "content": "noai"}, {"content": 3}, 4]
    record = wat_record(
        {"Response-Message": {"Status": "200"},
         "Headers": {"Content-usage": "train-ai=n", "TDM-Reservation": ["0", "1"], "X": 1},
         "HTML-Metadata": {"Head": {"Metas": metas}, "Links": links}}
    )  # fmt: skip
    found = extract([write_crawl(tmp_path / "a.wat.gz", [record])], tmp_path / "pairs")
    assert found["dropped"] == {"opted_out": 1}
    assert found["opt_outs"] == {
        "allow: tdm-reservation": 1, "deny: content-usage": 1, "deny: meta robots noai": 1,
        "deny: tdm-reservation": 1,
    }  # fmt: skip


def test_that_it_was_not_heard_stands_in_summary_and_matches(tmp_path):
    found = extracted(tmp_path, page(("robots", "noai")), ignore_opt_outs=True)
    assert found["pairs"] == 2 and "opted_out" not in found["dropped"]
    assert found["opt_outs"] == {"deny: meta robots noai": 2, "ignored": 2}
    assert len(rows(tmp_path / "pairs")) == 2
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red", "blue"]})
    match([tmp_path / "pairs"], metadata, tmp_path / "matched")
    summary = json.loads((tmp_path / "matched" / "summary.json").read_text())
    assert summary["opt_outs"] == {"deny: meta robots noai": 2, "ignored": 2}
    balance_pairs(matched=str(tmp_path / "matched"), output=str(tmp_path / "balanced"),
                  options=BalanceOptions(t=5), quiet=True)  # fmt: skip
    card = json.loads((tmp_path / "balanced" / "datacard.json").read_text())
    assert card["opt_outs"]["pairs"] == summary["opt_outs"]
    markdown = " ".join((tmp_path / "balanced" / "datacard.md").read_text().split())
    assert "2 pairs were taken although their page says no" in markdown
    assert "draft-ietf-aipref-attach-05 (2026-08-19)" in markdown


@pytest.mark.parametrize(
    "stamp",
    [
        b"[1]",
        b"{",
        b'{"summary": {"opt_outs": {"deny: x": -1, "<b>": 3, "ignored": true}}}',
        b'{"summary": {"opt_outs": {"deny: meta robots noai": 1152921504606846976}}}',
        b'{"summary": {"opt_outs": {"deny: made up": 3, "deny: content-usage": 2.0}}}',
    ],
)
def test_counts_in_a_strangers_file_are_not_believed(tmp_path, stamp):
    table = pa.table({"url": ["http://x.example/a.jpg"], "text": ["a red car"]})
    pq.write_table(table.replace_schema_metadata({b"curate": stamp}), tmp_path / "a.parquet")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red"]})
    match([tmp_path / "a.parquet"], metadata, tmp_path / "matched")
    assert "opt_outs" not in json.loads((tmp_path / "matched" / "summary.json").read_text())


def test_a_header_that_stands_too_often_is_malformed(tmp_path):
    many = page(Content_Usage="\r\nContent-Usage: ".join(["train-ai=y"] * 65))
    assert extracted(tmp_path, many)["opt_outs"] == {
        "allow: content-usage": 2, "malformed: content-usage": 2,
    }  # fmt: skip


def test_a_file_of_which_all_is_left_out_is_told_by_match_too(tmp_path):
    extracted(tmp_path, page(("robots", "noai")))
    other = write_crawl(tmp_path / "b.warc.gz", [page()])
    extract([tmp_path / "a.warc.gz", other], tmp_path / "pairs")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red", "blue"]})
    match([tmp_path / "pairs"], metadata, tmp_path / "matched")
    summary = json.loads((tmp_path / "matched" / "summary.json").read_text())
    assert summary["opt_outs"] == {"deny: meta robots noai": 2, "opted_out": 2}
    assert summary["read"] == 2
