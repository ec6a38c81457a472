import functools
import random
import re
import shutil
import subprocess
import sys
from collections import Counter

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, BadShareError, UsageError
from curate.files import storage
from curate.pipelines.extract.page_watch import PageWatch
from curate.pipelines.extract.pages import PageOptions
from curate.pipelines.extract.stage import ExtractOptions, extract_pairs
from curate.pipelines.store import artifacts
from examples.toyweb.rows import sample_scenes
from examples.toyweb.world import caption
from tests.pipelines.crawl_helpers import (
    PAGE_URL,
    extract,
    pairs,
    record,
    response,
    rows,
    wat,
    wat_record,
    write_crawl,
)
from tests.pipelines.helpers import match, write_metadata
from tests.pipelines.kills import kill_at_work, run_to_its_end
from tests.pipelines.parser_stand_in import large, stand_in

LANGS = ("en", "de", "es", "ru", "ja", "zh")


def page(number, texts):
    """A page of the toy web, in one of six languages, with images written in several ways."""
    lang = LANGS[number % len(LANGS)]
    images = "".join(
        f"<p><img src='../img/{number}-{i}.jpg' alt='{text}' title='{i}'></p>"
        for i, text in enumerate(texts)
    )
    return f"<!doctype html><html lang={lang}><head><title>{number}</title></head>{images}"


def toy_captions(num):
    scenes = sample_scenes(np.random.default_rng(0), num)
    return [caption(scene, LANGS[i // 3 % len(LANGS)], 0) for i, scene in enumerate(scenes)]


def toy_crawl(folder, num_files=3, pages_per_file=6):
    """Crawl files of the toy web, the first page of each file that of the file before."""
    texts = toy_captions(3 * num_files * pages_per_file)
    paths = []
    for file in range(num_files):
        first = file * pages_per_file
        records = []
        for number in range(max(0, first - 1), first + pages_per_file):
            url = f"https://toy.example/pages/{number}.html"
            records.append(response(page(number, texts[3 * number : 3 * number + 3]), url))
        paths.append(write_crawl(folder / f"{file}.warc.gz", records))
    return paths, texts


def content(folder):
    """The bytes of all files, the scratch and bookkeeping of times left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_crawl_of_the_toy_web_gives_every_image_with_its_texts(tmp_path):
    paths, texts = toy_crawl(tmp_path / "crawl")
    result = extract(paths, tmp_path / "pairs")
    found = pairs(tmp_path / "pairs")
    alts = [row for row in rows(tmp_path / "pairs") if row[2] == "alt"]
    assert [text for _, text, _ in alts] == texts
    assert alts[4][0] == "https://toy.example/img/1-1.jpg"
    assert result["read"] == result["pairs"] + sum(result["dropped"].values())
    assert result["dropped"] == {"duplicate_pair": 12}
    assert result["records"] == {"read": 20, "pages": 20, "skipped": {}}
    assert found.schema.names == ["url", "image_id", "text", "text_key", "page_url", "page_lang",
                                  "crawl_file", "crawl_offset"]  # fmt: skip
    assert found.column("page_lang").unique().to_pylist() == list(LANGS)
    assert found.column("crawl_file").unique().to_pylist() == [str(path) for path in paths]


def test_pairs_go_on_into_match(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl")
    extract(paths, tmp_path / "pairs")
    metadata = write_metadata(tmp_path / "metadata", {"en": ["red", "blue", "on", "a"]})
    result = match([tmp_path / "pairs"], metadata, tmp_path / "matched")
    assert result["read"] == pairs(tmp_path / "pairs").num_rows
    assert result["matched"] > 0


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bytes(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl")
    extract(paths, tmp_path / "one")
    extract(paths, tmp_path / "three", workers=3)
    assert content(tmp_path / "one") == content(tmp_path / "three")


@pytest.mark.parametrize("dedup", ["pair", "none"])
def test_new_files_are_added_and_done_ones_left(tmp_path, dedup):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=4)
    whole = extract(paths, tmp_path / "whole", dedup=dedup)
    extract(paths[:2], tmp_path / "grown", dedup=dedup)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "grown").glob("*.parquet")}
    assert extract(paths, tmp_path / "grown", dedup=dedup) == whole
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "grown").glob("*.parquet")}
    assert before.items() <= after.items() and len(after) == 4
    assert content(tmp_path / "grown") == content(tmp_path / "whole")


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=4)
    extract(paths, tmp_path / "whole")
    written = []
    publish = artifacts.parquet_writer

    for stop_after in range(1, 8):

        def failing(path, schema, stop_after=stop_after):
            if len(written) == stop_after:
                raise KeyboardInterrupt
            written.append(path)
            return publish(path, schema)

        written.clear()
        monkeypatch.setattr(artifacts, "parquet_writer", failing)
        with pytest.raises(KeyboardInterrupt):
            extract(paths, tmp_path / f"stopped{stop_after}")
        monkeypatch.setattr(artifacts, "parquet_writer", publish)
        extract(paths, tmp_path / f"stopped{stop_after}")
        assert content(tmp_path / f"stopped{stop_after}") == content(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_killed_at_random_times_ends_with_the_same_bytes(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=12, pages_per_file=150)
    command = [sys.executable, "-m", "curate.cli.main", "extract", *map(str, paths), "--quiet",
               "--workers", "2", "-o"]  # fmt: skip
    seconds = run_to_its_end([*command, "whole"], tmp_path)

    def anew():
        assert content(tmp_path / "killed") == content(tmp_path / "whole")
        shutil.rmtree(tmp_path / "killed")

    kill_at_work([*command, "killed"], tmp_path, seconds, random.Random(0), 5, anew)
    run_to_its_end([*command, "killed"], tmp_path)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_files_and_output_may_be_behind_urls(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=2)
    there = fsspec.filesystem("memory")
    urls = [f"memory://there/crawl/{path.name}" for path in paths]
    for path, url in zip(paths, urls, strict=True):
        there.pipe_file(url, path.read_bytes())
    try:
        options = ExtractOptions(max_bad=0.0)
        remote = extract_pairs(urls, output="memory://there/pairs", options=options, quiet=True)
        local = extract(paths, tmp_path / "pairs")
        assert {**remote, "plan": ""} == {**local, "plan": ""}
        for name in ("00000.parquet", "00001.parquet"):
            with there.open(f"memory://there/pairs/{name}") as file:
                found = pq.read_table(file).drop_columns("crawl_file")
            assert found.equals(pq.read_table(tmp_path / "pairs" / name).drop_columns("crawl_file"))
    finally:
        there.rm("memory://there", recursive=True)


def test_other_parameters_and_changed_files_are_refused(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=1)
    extract(paths, tmp_path / "pairs")
    with pytest.raises(ArtifactError, match='dedup: it was made with "pair", this run has "url"'):
        extract(paths, tmp_path / "pairs", dedup="url")
    with pytest.raises(ArtifactError, match="filters"):
        extract(paths, tmp_path / "pairs", filters=("text-length=3:",))
    write_crawl(paths[0], [response("<img src=a alt=b>")])
    with pytest.raises(ArtifactError, match="has changed since"):
        extract(paths, tmp_path / "pairs")
    assert extract(paths, tmp_path / "pairs", overwrite=True)["pairs"] == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(ArtifactError, match="is not an output of this command"):
        extract(paths, tmp_path / "other")


@pytest.mark.parametrize("removals", [0, 1, 2])
def test_an_overwrite_that_was_stopped_can_be_given_again(tmp_path, monkeypatch, removals):
    files, _ = toy_crawl(tmp_path, num_files=2)
    extract(files, tmp_path / "pairs")
    wanted, remove, done = content(tmp_path / "pairs"), storage.remove, []

    def stop_after(path):
        if path.startswith(f"{tmp_path}/pairs/"):  # not the lease
            if len(done) == removals:
                raise KeyboardInterrupt
            done.append(path)
        remove(path)

    monkeypatch.setattr(storage, "remove", stop_after)
    with pytest.raises(KeyboardInterrupt):
        extract(files, tmp_path / "pairs", overwrite=True)
    monkeypatch.setattr(storage, "remove", remove)
    extract(files, tmp_path / "pairs", overwrite=True)
    assert content(tmp_path / "pairs") == wanted


def test_a_dry_run_writes_nothing(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=2)
    assert extract(paths, tmp_path / "pairs", dry_run=True) == {"inputs": 2, "inputs_to_do": 2}
    assert not (tmp_path / "pairs").exists()


def test_duplicates_are_taken_out_in_the_order_of_files_and_offsets(tmp_path):
    image = "<img src=a.png alt='{}'>"
    paths = [
        write_crawl(tmp_path / "0.warc.gz", [
            response(image.format("A dog"), "https://example.org/0"),
            response(image.format("a dog!") + image.format("A dog"), "https://example.org/1"),
        ]),
        write_crawl(tmp_path / "1.warc.gz", [
            response(image.format("cat"), "https://example.org/2"),
            response(image.format("a dog!"), "https://example.org/3"),
        ]),
    ]  # fmt: skip
    expected = {
        "pair": ["A dog", "a dog!", "cat"],
        "near": ["A dog", "cat"],
        "url": ["A dog"],
        "none": ["A dog", "a dog!", "A dog", "cat", "a dog!"],
    }
    for dedup, texts in expected.items():
        result = extract(paths, tmp_path / dedup, dedup=dedup)
        assert [text for _, text, _ in rows(tmp_path / dedup)] == texts
        assert sum(result["dropped"].values()) == 5 - len(texts)


LINKS = [
    {"path": "IMG@/src", "url": "a.png", "alt": "red\ncar", "title": "T"},
    {"path": "A@/href", "url": "x.html", "text": "no"},
    {"path": "IMG@/src", "url": "data:image/png;base64,AA", "alt": "d"},
    {"path": "IMG@/src", "url": "/b.png?a=1&copy=2"},
    {"path": "IMG@/src", "url": "c.png", "alt": "AT&T <b>"},
]
HTML = """<html><base href="/base/"><img src=a.png alt="red\ncar" title=T><a href=x.html>no</a>
<img src="data:image/png;base64,AA" alt=d><img src="/b.png?a=1&copy=2"><img src=c.png
alt="AT&amp;T &lt;b&gt;">"""


def test_wat_and_warc_of_the_same_page_agree(tmp_path):
    warc = write_crawl(tmp_path / "a.warc.gz", [response(HTML)])
    links = write_crawl(tmp_path / "a.warc.wat.gz", [wat(LINKS, Base="/base/")])
    from_warc = extract([warc], tmp_path / "warc")
    from_wat = extract([links], tmp_path / "wat")
    assert rows(tmp_path / "warc") == rows(tmp_path / "wat") != []
    assert from_warc["dropped"] == from_wat["dropped"] == {"data_uri": 1, "no_text": 1}


def test_a_wat_record_of_too_many_images_is_cut_off_like_its_page(tmp_path):
    links = [{"path": "IMG@/src", "url": f"{i}.png", "alt": "x"} for i in range(30)]
    path = write_crawl(tmp_path / "a.wat.gz", [wat(links)])
    found = extract([path], tmp_path / "pairs", page=PageOptions(max_images=10))
    assert (found["pairs"], found["dropped"]) == (10, {"too_many_images": 20})


def test_real_wat_and_warc_are_extracted(tmp_path, real_data):
    files = sorted((real_data / "crawl").rglob("*.gz"))
    result = extract(files, tmp_path / "pairs", max_bad=0.0)
    assert result["records"]["pages"] == 20
    assert result["read"] == 295 and result["pairs"] == 58
    by_file = Counter(pairs(tmp_path / "pairs").column("crawl_file").to_pylist())
    assert by_file[str(real_data / "crawl" / "IAH-urls-wget.warc.gz")] == 14


def test_a_wat_file_of_the_old_kind_has_its_references_decoded(tmp_path):
    links = [{"path": "IMG@/src", "url": "a.png?x=1&amp;y=2", "alt": "Tom &amp; &#74;erry &copy"}]
    extract([write_crawl(tmp_path / "a.wat.gz", [wat(links)])], tmp_path / "pairs")
    (row,) = rows(tmp_path / "pairs")
    assert row == ("https://example.org/dir/a.png?x=1&y=2", "Tom & Jerry &copy", "alt")


def test_what_is_no_page_in_a_wat_file_is_counted(tmp_path):
    ok = {"Response-Message": {"Status": "200"}}
    path = write_crawl(tmp_path / "a.wat.gz", [
        record("metadata", b"{broken", "application/json"),
        record("metadata", b"[1]", "application/json"),
        record("metadata", b'{"Envelope": {"Payload-Metadata": 3}}', "application/json"),
        wat_record({"Response-Message": {"Status": "404"}, "HTML-Metadata": {"Links": []}}),
        wat_record({**ok, "HTML-Metadata": {}}),
        wat_record({**ok, "HTML-Metadata": {"Links": "x", "Head": 3}}, "urn:nowhere"),
        wat_record({**ok, "HTML-Metadata": {"Links": [1, {"path": "IMG@/src", "url": 3}]}}),
        record("metadata", wat(LINKS).split(b"\r\n\r\n")[1].replace(b"red", b"\xff\\ud800"),
               "application/json"),
    ])  # fmt: skip
    result = extract([path], tmp_path / "pairs")
    assert result["records"]["skipped"] == {
        "bad_json": 1, "bad_page_url": 1, "http_status": 1, "not_a_page": 2, "not_html": 1,
    }  # fmt: skip
    assert result["records"]["pages"] == 2 and result["dropped"]["no_url"] == 1
    assert rows(tmp_path / "pairs")[0][1] == "\ufffd\ufffd car"


def test_bad_records_are_set_aside_and_too_many_of_them_end_the_run(tmp_path):
    good = [response(f"<img src={i}.png alt=x>", f"https://example.org/{i}") for i in range(50)]
    path = write_crawl(tmp_path / "a.warc.gz", good)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadShareError, match=r"1 of 50 records are bad and 1 of 1 files"):
        extract([path], tmp_path / "pairs", max_bad=0.01)
    result = extract([path], tmp_path / "pairs", max_bad=1.0)
    assert result["pairs"] == 49 and result["lost_files"] == 1
    table = artifacts.read_table(str(tmp_path / "pairs/_extract/rejected/00000.parquet"))
    assert table.column("file").to_pylist() == [str(path)]


@pytest.mark.parametrize("dedup", ["pair", "none"])
def test_a_bad_file_that_is_fetched_again_is_read_anew_and_no_other(tmp_path, dedup):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=3)
    whole = extract(paths, tmp_path / "whole", dedup=dedup)
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[:-20])
    run = {"dedup": dedup, "max_bad": 0.01}
    for _ in range(2):  # the same call says the same
        with pytest.raises(BadShareError, match=r"same command again.*or leave out.* --max-bad 0"):
            extract(paths, tmp_path / "pairs", **run)
    found = tmp_path / "pairs" if dedup == "none" else tmp_path / "pairs/_extract/found"
    before = {path.name: path.stat().st_mtime_ns for path in found.glob("*.parquet")}
    assert len(before) == 3
    paths[1].write_bytes(good)
    if dedup == "none":
        assert extract(paths, tmp_path / "pairs", **run, dry_run=True)["inputs_to_do"] == 1
    again = extract(paths, tmp_path / "pairs", **run)
    assert {**again, "plan": ""} == {**whole, "plan": ""}
    assert rows(tmp_path / "pairs") == rows(tmp_path / "whole")
    assert not list((tmp_path / "pairs").rglob("rejected/*"))
    if dedup == "none":
        after = {path.name: path.stat().st_mtime_ns for path in found.glob("*.parquet")}
        assert {name for name in after if after[name] != before[name]} == {"00001.parquet"}


def test_the_share_that_an_error_names_is_enough(tmp_path):
    paths, _ = toy_crawl(tmp_path / "crawl", num_files=3)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(BadShareError) as error:
        extract(paths, tmp_path / "pairs", max_bad=0.01)
    share = float(re.search(r"add --max-bad ([\d.]+)\.$", str(error.value))[1])
    assert extract(paths, tmp_path / "pairs", max_bad=share)["lost_files"] == 1
    write_crawl(paths[1], [response("<img src=a alt=b>")])
    with pytest.raises(ArtifactError, match="has changed since"):  # what was accepted stands
        extract(paths, tmp_path / "pairs", max_bad=share)


BAD_OPTIONS = [{"dedup": "x"}, {"max_bad": 2.0}]


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_options_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        extract([], tmp_path, **options)
    with pytest.raises(UsageError, match="--max-images is 0"):
        PageOptions(max_images=0)
    with pytest.raises(UsageError, match="--srcset"):
        PageOptions(srcset="some")


def test_pages_that_a_parser_does_not_get_through_are_given_up_and_the_run_goes_on(
    tmp_path, monkeypatch
):
    guarded = functools.partial(PageWatch, parse=stand_in)
    monkeypatch.setattr("curate.pipelines.extract.part.PageWatch", guarded)
    path = write_crawl(tmp_path / "a.warc.gz", [
        response(large("spin"), "https://example.org/slow"),
        response("<img src=a.png alt=x>" * 20_000, "https://example.org/many"),
        response(large("exit"), "https://example.org/dead"),
        response(bytes(range(256)) * 4000, "https://example.org/binary"),
        response("<img src=last.png alt=y>", "https://example.org/last"),
    ])  # fmt: skip
    result = extract([path], tmp_path / "pairs", page=PageOptions(page_seconds=1), max_bad=1.0)
    assert result["records"]["skipped"] == {
        "binary_body": 1, "page_too_slow": 1, "parser_failed": 1
    }  # fmt: skip
    assert result["dropped"] == {"duplicate_pair": 9_999, "too_many_images": 10_000}
    assert [url.rpartition("/")[2] for url, _, _ in rows(tmp_path / "pairs")] == [
        "a.png", "last.png",
    ]  # fmt: skip
    table = artifacts.read_table(str(tmp_path / "pairs/_extract/rejected/00000.parquet"))
    assert table.select(["page_url", "reason"]).to_pylist() == [
        {"page_url": "https://example.org/slow", "reason": "page_too_slow"},
        {"page_url": "https://example.org/dead", "reason": "parser_failed"},
    ]


def test_the_command_line_prints_the_sums(tmp_path):
    path = write_crawl(tmp_path / "a.warc.gz", [response(HTML), response("x", status=404)])
    command = [sys.executable, "-m", "curate.cli.main", "extract", str(path), "-w", str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"records 2 = pages 1 \+ skipped 1 \(http_status 1\)", shown.stdout)
    assert re.search(r"read 5 = pairs 3 \+ dropped 2 \(data_uri 1, no_text 1\)", shown.stdout)
    wrong = subprocess.run([*command, "--dedup", "x"], capture_output=True, text=True, timeout=120)
    assert wrong.returncode == 2 and "--dedup" in wrong.stderr
    assert PAGE_URL in pairs(tmp_path / "pairs").column("page_url").to_pylist()
