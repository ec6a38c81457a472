"""How fast dumps become counts, and in how much memory.

    python -m examples.bench.sources.metadata DATA [--only stages|rates|words|memory]
        [--corpus-mb 2000]

DATA is the folder of public data that the README lists. Rates are megabytes per second of processor
time, so they are those of one core. The corpus of the memory bench is generated: words follow
Zipf's law, and half of them depend on the word before, so that there are many different pairs.
"""

import bz2
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from curate.metadata.corpus.count import count_corpus
from curate.metadata.corpus.part import CountedPart
from curate.metadata.ngrams.counter import NgramCounter
from curate.metadata.ngrams.words import (
    character_classes,
    cut_segments,
    is_segmented,
    segmenter_name,
    segmenter_version,
)
from curate.metadata.wikipedia.bz2_blocks import read_blocks
from curate.metadata.wikipedia.dump import read_pages
from curate.metadata.wikipedia.wikitext import strip_wikitext
from examples.bench.common.measure import best
from examples.bench.common.tables import machine, show

ENGLISH = "wiki/enwiki-206pages.xml.bz2"
MINI_DUMPS = "wiki/dbpedia_minidumps_berlin.tar"
SEGMENTED = ("ja", "zh", "th", "my")
MB = 1e6
MANY = 1_000_000_000
HEAD = b"<mediawiki><siteinfo/>\n"
PAGE = b"<page><title>%d</title><ns>0</ns><revision><text>%s</text></revision></page>\n"


def rate(work: Callable[[], object], num_bytes: int) -> float:
    """Return the best rate of three runs, in MB per second of the processor."""
    return num_bytes / MB / best(work, 3).processor_s


def mini_dump(data: Path, lang: str, folder: Path) -> Path:
    """Take the dump of a language out of the mini-dumps."""
    with tarfile.open(data / MINI_DUMPS) as tar:
        tar.extract(f"{lang}wiki.xml.bz2", folder, filter="data")
    return folder / f"{lang}wiki.xml.bz2"


def repeated(dump: Path, times: int, folder: Path) -> Path:
    """Write a dump that has the pages of another many times, so that starting does not count.

    Each time is a stream of its own: a block of equal pages is several times slower to unpack than
    one of different pages.
    """
    xml = bz2.decompress(dump.read_bytes())
    start, end = xml.index(b"<page>"), xml.rindex(b"</mediawiki>")
    path = folder / f"{times}-times-{dump.name}"
    head, pages, tail = (bz2.compress(b) for b in (xml[:start], xml[start:end], xml[end:]))
    path.write_bytes(head + pages * times + tail)
    return path


def counter_of(lang: str) -> NgramCounter:
    """Return a counter that throws away what it counts."""
    return NgramCounter(
        character_classes(lang),
        segmented=is_segmented(lang),
        memory_bytes=1 << 28,
        spill=lambda *_: None,
    )


def count_texts(texts: Sequence[str], lang: str) -> None:
    """Cut and count texts, as a part does."""
    counter = counter_of(lang)
    for text in texts:
        counter.add(cut_segments(text, lang) if is_segmented(lang) else text)
    counter.finish()


def bench_stages(data: Path) -> list[dict[str, Any]]:
    """Time each step of the way on the 206 English articles, against their XML."""
    path = data / ENGLISH
    packed = path.read_bytes()
    xml = bz2.decompress(packed)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "enwiki.xml"
        plain.write_bytes(xml)
        pages = list(read_pages(str(plain)))
        texts = [strip_wikitext(p.text, p.media_prefixes) for p in pages]
        count_texts(texts, "en")  # compiled before it is timed
        steps: dict[str, Callable[[], object]] = {
            "bz2 module": lambda: bz2.decompress(packed),
            "bz2, block by block": lambda: list(read_blocks(path.open("rb"), 0)),
            "XML to pages": lambda: list(read_pages(str(plain))),
            "wikitext to text": lambda: [strip_wikitext(p.text, p.media_prefixes) for p in pages],
            "text to counts": lambda: count_texts(texts, "en"),
        }
        return [{"step": name, "MB of XML/s": rate(f, len(xml))} for name, f in steps.items()]


def bench_rates(data: Path) -> list[dict[str, Any]]:
    """Time whole dumps, from bz2 to the files of counts."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lang, dump, times in (
            ("en", data / ENGLISH, 12),
            *((lang, mini_dump(data, lang, folder), 200) for lang in SEGMENTED),
        ):
            path = repeated(dump, times, folder)
            count(lang, dump, folder / f"{lang}-first", 1, MANY)  # compiled before it is timed
            _, seconds, num_bytes = count(lang, path, folder / lang, 1, MANY)
            rows.append(
                {
                    "language": lang,
                    "MB of XML": num_bytes / MB,
                    "seconds of the processor": seconds,
                    "MB/s per core": num_bytes / MB / seconds,
                }
            )
    return rows


def count(
    lang: str, dump: Path, folder: Path, workers: int, memory_bytes: int
) -> tuple[int, float, int]:
    """Count a dump; return words, seconds of the processors, and bytes of pages."""
    parts: list[CountedPart] = []
    with count_corpus(
        lang, [str(dump)], folder, memory_bytes=memory_bytes, workers=workers, needs_words=True,
        on_part=parts.append,
    ) as corpus:  # fmt: skip
        return corpus.counts.num_tokens, sum(p.seconds for p in parts), corpus.page_bytes


def bench_words(data: Path) -> list[dict[str, Any]]:
    """Time the segmenters on articles, against their plain text."""
    with tempfile.TemporaryDirectory() as name:
        dumps = {lang: mini_dump(data, lang, Path(name)) for lang in SEGMENTED}
        return [_bench_words(lang, dump) for lang, dump in {"en": data / ENGLISH, **dumps}.items()]


def _bench_words(lang: str, dump: Path) -> dict[str, Any]:
    texts = [strip_wikitext(p.text, p.media_prefixes) for p in read_pages(str(dump))]
    texts *= 40 if is_segmented(lang) else 1
    num_bytes = sum(len(text.encode()) for text in texts)

    def segment() -> None:
        for text in texts:
            cut_segments(text, lang)

    return {
        "language": lang,
        "library": segmenter_name(lang),
        "version": segmenter_version(lang) or "",
        "segmenting MB/s": rate(segment, num_bytes) if is_segmented(lang) else "",
        "with counting MB/s": rate(lambda: count_texts(texts, lang), num_bytes),
    }


def write_corpus(path: Path, corpus_mb: int, vocabulary: int = 3_000_000) -> None:
    """Write a dump of generated words."""
    rng = np.random.default_rng(0)
    share = np.cumsum(1 / np.arange(1, vocabulary + 1) ** 1.05)
    names = np.array([f"w{n * 2_654_435_761 % 2**28:07x} ".encode() for n in range(vocabulary)])
    written = 0
    with path.open("wb") as file:
        file.write(HEAD)
        for article in range(MANY):
            words = np.searchsorted(share, rng.random(100_000) * share[-1])
            following = (np.roll(words, 1) * 7 + rng.integers(0, 20, len(words))) % vocabulary
            words = np.where(rng.random(len(words)) < 0.5, following, words)
            text = names[words].view(np.uint8).reshape(-1, 20 * names.itemsize)
            text[:, -1] = ord("\n")
            written += file.write(PAGE % (article, text.tobytes()))
            if written >= corpus_mb * MB:
                break
        file.write(b"</mediawiki>")


def memory_of(group: int) -> tuple[int, int]:
    """Return the resident and the proportional memory of a group of processes, in bytes."""
    resident = proportional = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[2]) != group:
                continue
            for line in (stat.parent / "smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    resident += int(line.split()[1]) << 10
                elif line.startswith("Pss:"):
                    proportional += int(line.split()[1]) << 10
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return resident, proportional


def bench_memory(corpus_mb: int, memory_mb: int, workers: int) -> list[dict[str, Any]]:
    """Count a generated corpus in a process of its own, and watch its memory."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        path = Path(name) / "dewiki.xml"
        write_corpus(path, corpus_mb)
        command = [sys.executable, "-m", "examples.bench.sources.metadata", "count", str(path),
                   str(memory_mb), str(workers)]  # fmt: skip
        start = time.monotonic()
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        peaks, done = [0, 0], threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                peaks[:] = map(max, peaks, memory_of(run.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        said, _ = run.communicate()
        done.set()
        watcher.join()
        if run.returncode:
            raise SystemExit(f"counting failed with {run.returncode}")
        words, seconds = said.split()
        row = {
            "MB of text": path.stat().st_size / MB,
            "words": f"{int(words):,}",
            "--memory MB": memory_mb,
            "processes": workers,
            "seconds": time.monotonic() - start,
            "of the processors, counting": float(seconds),
            "peak RSS MB": peaks[0] / MB,
            "peak PSS MB": peaks[1] / MB,
        }
        return [row]


def main(
    data: Annotated[str, typer.Argument(help="Folder of the public data.")],
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    only: Annotated[str, typer.Option(help="stages, rates, words or memory.")] = "",
    corpus_mb: Annotated[int, typer.Option(help="Size of the generated corpus.")] = 2000,
    memory_mb: Annotated[int, typer.Option(help="What counting it may take.")] = 1000,
    workers: Annotated[int, typer.Option(help="Processes that count it.")] = 2,
) -> None:
    """Print the tables."""
    if data == "count" and arguments:  # the process whose memory is watched
        path, memory, processes = arguments
        folder = Path(path).with_name("scratch")
        words, seconds, _ = count("de", Path(path), folder, int(processes), int(memory) * 10**6)
        print(words, seconds)
        return
    print(machine())
    if only in ("", "stages"):
        show("Steps, 206 English articles", bench_stages(Path(data)))
    if only in ("", "rates"):
        show("From bz2 to counts", bench_rates(Path(data)))
    if only in ("", "words"):
        show("Words, against plain text", bench_words(Path(data)))
    if only in ("", "memory"):
        show("Memory", bench_memory(corpus_mb, memory_mb, workers))


if __name__ == "__main__":
    typer.run(main)
