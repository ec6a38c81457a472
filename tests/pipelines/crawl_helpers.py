"""Crawl files for tests: records as bytes, and the pairs that extracting them gives."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curate.pipelines.extract.stage import ExtractOptions, extract_pairs

PAGE_URL = "https://example.org/dir/page.html"


def record(kind: str, block: bytes, content_type: str, url: str = PAGE_URL, **more: str) -> bytes:
    """Return a WARC record."""
    headers = {
        "WARC-Type": kind,
        "WARC-Target-URI": url,
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
        **more,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def response(html: bytes | str, url: str = PAGE_URL, status: int = 200, **headers: str) -> bytes:
    """Return the record of a page that a server sent."""
    body = html.encode() if isinstance(html, str) else html
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"Content-Type": "text/html; charset=utf-8", **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    block = f"HTTP/1.1 {status} OK\r\n{head}\r\n".encode() + body
    return record("response", block, "application/http; msgtype=response", url)


def wat(links: list[dict[str, str]], url: str = PAGE_URL, **head: Any) -> bytes:
    """Return the record that a WAT file has of a page."""
    return wat_record(
        {
            "Response-Message": {"Status": "200"},
            "Headers": {"Content-Type": "text/html"},
            "HTML-Metadata": {"Head": head, "Links": links},
        },
        url,
    )


def wat_record(http: Mapping[str, Any], url: str = PAGE_URL) -> bytes:
    """Return a WAT record with any metadata of a response."""
    value = {
        "Envelope": {
            "WARC-Header-Metadata": {"WARC-Target-URI": url},
            "Payload-Metadata": {"HTTP-Response-Metadata": http},
        }
    }
    return record("metadata", orjson.dumps(value), "application/json", url)


def write_crawl(path: Path, records: list[bytes], *, compressed: bool = True) -> Path:
    """Write a crawl file, each record a gzip member of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pieces = [gzip.compress(one, 1, mtime=0) for one in records] if compressed else records
    path.write_bytes(b"".join(pieces))
    return path


def extract(inputs: list[Path], output: Path, **options: Any) -> dict[str, Any]:
    """Extract with one worker, and no bound on bad records unless told otherwise."""
    run = {k: options.pop(k) for k in ("workers", "overwrite", "dry_run") if k in options}
    return extract_pairs(
        [str(path) for path in inputs],
        output=str(output),
        options=ExtractOptions(**{"max_bad": 1.0, **options}),
        quiet=True,
        **run,
    )


def pairs(output: Path) -> pa.Table:
    """Return all pairs of a folder, in the order of its files."""
    files = sorted(output.glob("*.parquet"))
    return pa.concat_tables(pq.read_table(file) for file in files)


def rows(output: Path) -> list[tuple[str, str, str]]:
    """Return (url, text, text_key) of all pairs."""
    table = pairs(output)
    names = ("url", "text", "text_key")
    return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))
