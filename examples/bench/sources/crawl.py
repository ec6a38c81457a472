"""How fast crawl files become pairs, and duplicates are found, and in how much memory.

    python -m examples.bench.sources.crawl DATA [--only records] [--pairs 50000000] [--engine ours]

DATA is the folder of public data that the README lists. `--only` takes `records`, `rates` or
`dedup`. Rates are megabytes per second of processor time, so they are those of one core. The pages
are those of DATA, again and again; WAT files are written from the same pages, since DATA has one
WAT record only. `records` finds pages and does nothing with them, to compare with the same done by
FastWARC's own loop, which does not ask whether records end where they say. The pairs of the other
bench are generated: two in five stand somewhere before. `--engine duckdb` finds them with DuckDB,
within 1 GB too, to compare (`pip install duckdb`).
"""

import gzip
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute
import typer
from fastwarc.warc import ArchiveIterator

from curate.pipelines.extract import dedup
from curate.pipelines.extract.html import parse_page
from curate.pipelines.extract.pages import PageOptions
from curate.pipelines.extract.part import ExtractJob, Worker, extract_part
from curate.pipelines.extract.records import CrawlRecord, read_records
from curate.pipelines.extract.responses import page_of
from curate.pipelines.store import artifacts
from examples.bench.common.measure import best, bytes_below, most_of, ran

CRAWL = ("IAH-urls-wget.warc.gz", "resiliparse-warcfile.warc.gz", "whirlwind/whirlwind.warc.gz")
REPEATS = 60
PAIRS_PER_FILE = 2_500_000
MB = 1e6


def main(
    data: Annotated[Path, typer.Argument(help="Folder of public data.")],
    only: Annotated[str, typer.Option(help="records, rates, dedup, or all.")] = "all",
    pairs: Annotated[int, typer.Option(help="Generated pairs.")] = 50_000_000,
    engine: Annotated[str, typer.Option(help="ours or duckdb.")] = "ours",
    part: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print the rates."""
    if part:
        count_duplicates(Path(part), engine)
        return
    with tempfile.TemporaryDirectory(prefix="bench-crawl-") as folder:
        if only in ("all", "records"):
            records(data / "crawl", Path(folder))
        if only in ("all", "rates"):
            rates(data / "crawl", Path(folder))
        if only in ("all", "dedup"):
            duplicates(data, Path(folder), pairs, engine)


def pages_of(crawl: Path) -> list[CrawlRecord]:
    """Return the real pages."""
    return [
        record
        for name in CRAWL
        for record in read_records(str(crawl / name), 1 << 24)
        if isinstance(record, CrawlRecord)
    ]


def records(crawl: Path, folder: Path) -> None:
    """Read the records of one file packed in three ways, whole pages and their first 2 KB."""
    for first in (None, 2000):
        whole = [_record("response", p.page_url, "application/http", _answer(p, first))
                 for p in pages_of(crawl)]  # fmt: skip
        times = REPEATS if first is None else 20 * REPEATS
        plain = b"".join(whole) * times
        packed = {
            "plain": plain,
            "gzip, one member": gzip.compress(plain, 6),
            "gzip, a member each": b"".join(gzip.compress(one, 6) for one in whole) * times,
        }
        for kind, content in packed.items():
            path = folder / ("records.warc" if kind == "plain" else "records.warc.gz")
            path.write_bytes(content)
            ours, other = (
                best(partial(find, path), 5).processor_s for find in (checked, unchecked)
            )
            size = len(plain) // (len(whole) * times)
            print(
                f"records of {size:,} bytes, {kind}: {len(plain) / ours / MB:.0f} MB/s, "
                f"by FastWARC's loop {len(plain) / other / MB:.0f} MB/s"
            )


def checked(path: Path) -> int:
    """Find the pages as `extract` does; return their number."""
    return sum(isinstance(one, CrawlRecord) for one in read_records(str(path), 1 << 24))


def unchecked(path: Path) -> int:
    """Find the pages with FastWARC's loop; return their number."""
    num = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=False):
            field, block = record.headers.get_bytes, record.reader.read()
            num += isinstance(page_of(record.stream_pos, field, block, 1 << 24), CrawlRecord)
    return num


def rates(crawl: Path, folder: Path) -> None:
    """Extract WARC and WAT files made of real pages, in this process."""
    pages = pages_of(crawl)
    files = {"WARC": folder / "pages.warc.gz", "WAT": folder / "pages.warc.wat.gz"}
    sizes = {"WARC": write_warc(files["WARC"], pages), "WAT": write_wat(files["WAT"], pages)}
    (wat,) = read_records(str(crawl / "CC-MAIN-sample.warc.wat.gz"), 1 << 24)
    assert isinstance(wat, CrawlRecord)
    files["WAT, real"] = folder / "real.warc.wat.gz"
    sizes["WAT, real"] = write_wat(files["WAT, real"], [wat])
    job = ExtractJob(
        parameters="", pairs=str(folder / "out"), rejected=str(folder / "out"),
        options=PageOptions(), filters=(),
    )  # fmt: skip
    worker = Worker(job)
    for kind, path in files.items():
        extract_part(worker, (0, str(path), ""))  # compiles and warms up
        took = best(partial(extract_part, worker, (0, str(path), "")), 3)
        (_, summary), size = took.result, sizes[kind] / MB
        print(
            f"extract {kind}: {size:.0f} MB, {summary.records['page']} pages, "
            f"{summary.pairs['pairs']} pairs, {size / took.processor_s:.1f} MB/s per core"
        )
    html = [page.body for page in pages]
    parsing = best(lambda: [parse_page(body, max_images=10**6) for body in html], 9)
    rate = sum(map(len, html)) / parsing.processor_s / MB
    print(f"parsing and finding images alone: {rate:.1f} MB/s")


def _record(kind: str, url: str, content_type: str, block: bytes) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def _answer(page: CrawlRecord, size: int | None = None) -> bytes:
    """Return what the server of a page sent, with the first bytes of the page, or all."""
    charset = f"; charset={page.charset}" if page.charset else ""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html{charset}\r\n\r\n".encode() + page.body[:size]
    )


def write_warc(path: Path, pages: list[CrawlRecord]) -> int:
    """Write pages again and again; return the bytes of HTML."""
    size = 0
    with path.open("wb") as file:
        for page in pages:
            record = _record("response", page.page_url, "application/http", _answer(page))
            record = gzip.compress(record, 6)
            for _ in range(REPEATS):
                file.write(record)
            size += REPEATS * len(page.body)
    return size


def write_wat(path: Path, pages: list[CrawlRecord]) -> int:
    """Write what a WAT file says of pages; return the bytes of JSON."""
    size = 0
    with path.open("wb") as file:
        for page in pages:
            body = page.body if page.is_wat else _wat(page)
            record = gzip.compress(_record("metadata", page.page_url, "application/json", body), 6)
            for _ in range(REPEATS):
                file.write(record)
            size += REPEATS * len(body)
    return size


def _wat(page: CrawlRecord) -> bytes:
    from selectolax.lexbor import LexborHTMLParser

    from curate.pipelines.extract.encoding import decode_page

    document = LexborHTMLParser(decode_page(page.body, page.charset))
    links = []
    for node in document.css("a[href], img[src]"):
        names = ("alt", "title")
        more = {n: node.attributes[n] or "" for n in names if n in node.attributes}
        if node.tag == "img":
            links.append({"path": "IMG@/src", "url": node.attributes["src"] or "", **more})
        else:
            text = " ".join(node.text().split())[:128]
            links.append({"path": "A@/href", "url": node.attributes["href"] or "", "text": text})
    http = {"Response-Message": {"Status": "200"},
            "HTML-Metadata": {"Head": {"Title": "x"}, "Links": links}}  # fmt: skip
    envelope = {"WARC-Header-Metadata": {"WARC-Target-URI": page.page_url},
                "Payload-Metadata": {"HTTP-Response-Metadata": http}}  # fmt: skip
    return orjson.dumps({"Envelope": envelope})


def duplicates(data: Path, folder: Path, num_pairs: int, engine: str) -> None:
    """Find duplicates among generated pairs in a process of its own; print its peak memory."""
    paths, expected = generate(folder / "generated", num_pairs)
    size = sum(path.stat().st_size for path in paths)
    print(f"{num_pairs:,} pairs in {len(paths)} files of {size / MB:,.0f} MB", flush=True)
    command = [sys.executable, "-m", "examples.bench.sources.crawl", str(data), "--engine", engine,
               "--part", str(folder)]  # fmt: skip
    took = ran(command)
    num, keys = map(int, (folder / "found.txt").read_text().split())
    print(
        f"{engine}: {num:,} duplicates of {expected:,}, {took.processor_s:.0f} s of processors, "
        f"{took.clock_s:.0f} s by the clock, {num_pairs / took.processor_s / 1e6:.2f} million "
        f"pairs/s per core, peak {took.peak_bytes / MB:.0f} MB, keys on disk {keys / MB:.0f} MB"
    )
    if num != expected:
        raise SystemExit("not the duplicates that were generated")


def generate(folder: Path, num_pairs: int) -> tuple[list[Path], int]:
    """Write pairs of which two in five stand before; return the files and how many do."""
    rng = np.random.default_rng(0)
    num_different = max(1, int(num_pairs * 0.9))
    seen = np.zeros(num_different, dtype=bool)
    paths: list[Path] = []
    later = 0
    for first in range(0, num_pairs, PAIRS_PER_FILE):
        num = min(PAIRS_PER_FILE, num_pairs - first)
        numbers = rng.integers(0, num_different, num)
        paths.append(folder / f"{len(paths):05d}.parquet")
        schema = pa.schema({"url": pa.string(), "text": pa.string()})
        with artifacts.parquet_writer(str(paths[-1]), schema) as writer:
            for at in range(0, num, 1 << 16):
                text = pa.array(numbers[at : at + (1 << 16)]).cast(pa.string())
                url = pa.compute.binary_join_element_wise(
                    "https://images.example.org/photos/2024/", text, ".jpg", ""
                )
                text = pa.compute.binary_join_element_wise("a photo of number ", text, "")
                writer.write(pa.record_batch([url, text], schema=schema))
            writer.close({}, "")
        different = np.unique(numbers)
        later += num - int((~seen[different]).sum())
        seen[different] = True
    return paths, later


def count_duplicates(folder: Path, engine: str) -> None:
    """Write the number of duplicates, and the most bytes of keys on the disk."""
    paths = sorted(str(path) for path in (folder / "generated").glob("*.parquet"))
    keys = folder / "keys"
    keys.mkdir()
    with most_of(partial(bytes_below, keys), every_s=0.5) as most:
        if engine == "duckdb":
            num = _with_duckdb(paths, str(keys))
        else:
            found = dedup.find_duplicates(paths, str(keys), "pair", workers=os.cpu_count() or 1)
            num = sum(len(found.rows(file)) for file in range(len(paths)))
    (folder / "found.txt").write_text(f"{num} {most[0]}")
    shutil.rmtree(keys)


def _with_duckdb(paths: list[str], folder: str) -> int:
    """Find the first row of each pair as SQL does it."""
    import duckdb

    database = duckdb.connect(config={"memory_limit": "800MB", "temp_directory": folder,
                                      "threads": os.cpu_count() or 1})  # fmt: skip
    names = ", ".join(f"'{path}'" for path in paths)
    files = f"read_parquet([{names}], filename = true, file_row_number = true)"
    (num,) = database.execute(
        f"""SELECT (SELECT count(*) FROM {files}) - count(first) FROM (
            SELECT min((filename, file_row_number)) AS first FROM {files} GROUP BY url, text)"""
    ).fetchone()
    return int(num)


if __name__ == "__main__":
    typer.run(main)
