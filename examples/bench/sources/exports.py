"""What the other namespaces of an export cost: articles per second, against a legacy dump.

    python -m examples.bench.sources.exports DATA

DATA is the folder of public data that the README lists. The same articles are counted out of one
legacy dump, and out of the 20 parts of an export in which every other page is a talk page. Seconds
are those of the processor, the best of three runs.
"""

import bz2
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.metadata.corpus.count import count_corpus
from examples.bench.common.tables import machine, show
from examples.bench.sources.metadata import ENGLISH, MANY, MB, count


def articles_and_talk(data: Path, times: int) -> tuple[bytes, list[bytes], bytes]:
    """Return the head of a dump, pages with ascending ids, and its end: every other page is talk.

    The talk pages are as long as the articles, which they are not on Wikipedia.
    """
    xml = bz2.decompress((data / ENGLISH).read_bytes())
    start, end = xml.index(b"<page>"), xml.rindex(b"</mediawiki>")
    cut = [b"<page>" + page for page in xml[start:end].split(b"<page>")[1:]]
    articles = [page for page in cut if b"<ns>0</ns>" in page] * times
    shifted = articles[50:] + articles[:50]
    talk = [page.replace(b"<ns>0</ns>", b"<ns>1</ns>", 1) for page in shifted]
    both = (page for pair in zip(articles, talk, strict=True) for page in pair)
    numbered = [
        re.sub(rb"<id>\d+</id>", b"<id>%d</id>" % number, page, count=1)
        for number, page in enumerate(both, 1)
    ]
    return xml[:start], numbered, xml[end:]


def bench_exports(data: Path, parts: int = 20, times: int = 4) -> list[dict[str, Any]]:
    """Time the same articles in one legacy dump, and in an export with as many talk pages."""
    head, pages, end = articles_and_talk(data, times)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        legacy = folder / "enwiki-20260801-pages-articles.xml.bz2"
        legacy.write_bytes(bz2.compress(head + b"".join(pages[::2]) + end))
        size = -(-len(pages) // parts)
        exports = []
        for first in range(0, len(pages), size):
            part = pages[first : first + size]
            exports.append(folder / f"enwiki-2026-08-01-p{first + 1}p{first + len(part)}.xml.bz2")
            exports[-1].write_bytes(bz2.compress(head + b"".join(part) + end))
        count("en", data / ENGLISH, folder / "first", 1, MANY)  # compiled before it is timed
        rows = [
            _bench_layout(layout, dumps, folder)
            for layout, dumps in (("legacy", [legacy]), ("exports", exports))
        ]
    rate_of_legacy = rows[0]["articles/s of the processor"]
    return [
        {**row, "of legacy": row["articles/s of the processor"] / rate_of_legacy} for row in rows
    ]


def _bench_layout(layout: str, dumps: Sequence[Path], folder: Path) -> dict[str, Any]:
    seconds = []
    for repeat in range(3):
        with count_corpus(
            "en",
            [str(dump) for dump in dumps],
            folder / f"{layout}-{repeat}",
            memory_bytes=MANY,
            workers=1,
            needs_words=True,
        ) as corpus:
            seconds.append(corpus.seconds)
            tally = corpus.pages
    return {
        "layout": layout,
        "files": len(dumps),
        "MB of bz2": sum(dump.stat().st_size for dump in dumps) / MB,
        "articles": tally["article"],
        "other pages": tally["other_namespace"],
        "articles/s of the processor": tally["article"] / min(seconds),
    }


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the public data.")],
    parts: Annotated[int, typer.Option(help="Files of the export.")] = 20,
    times: Annotated[int, typer.Option(help="How often each article is taken.")] = 4,
) -> None:
    """Print the table."""
    print(machine())
    show("The same articles in both layouts", bench_exports(data, parts, times))


if __name__ == "__main__":
    typer.run(main)
