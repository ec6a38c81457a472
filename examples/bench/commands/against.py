"""Two builds of this package by turns: this one and a revision, by processor time.

What is timed are whole commands, everything from the start of Python on. Each row is measured in
rounds, a round one run of either build, so that what else the machine does slows both; the ratio is
that of a round, and what is shown is its median and the least and the most of all rounds.
"""

import gzip
import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from examples.bench.common.measure import ROOT, ran, ratio
from examples.bench.common.pairs import web_captions
from examples.bench.matching.texts import english_one_by_one

__all__ = ["Build", "bench_against", "checked_out"]

_CRAWL = ("IAH-urls-wget.warc.gz", "resiliparse-warcfile.warc.gz", "whirlwind/whirlwind.warc.gz")
_REPEATS = 60
_ROW_GROUP = 100_000
_CAPTIONS = "captions in 38 languages"


@dataclass(frozen=True, slots=True)
class Build:
    """A checkout of this package.

    Attributes:
        name: in tables.
        root: of its files.
        folder: for what it writes: its workspace, its cache of compiled code, its bytecode.
        of_match: options of `match` that only this build gets.
    """

    name: str
    root: Path
    folder: Path
    of_match: tuple[str, ...] = ()

    def command(self, *words: object, cache: str = "cache") -> tuple[list[str], dict[str, str]]:
        """Return how its command line is called, and in what environment."""
        entry = "curate.cli.main" if (self.root / "curate/cli").is_dir() else "pipelines.cli"
        code = f"import sys; from {entry} import main; sys.argv[0] = 'curate'; main()"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.root), str(self.folder / "info")]),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "NUMBA_CACHE_DIR": str(self.folder / cache),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return [sys.executable, "-P", "-c", code, *map(str, words)], environment

    @property
    def workspace(self) -> Path:
        """Its workspace; builds do not read what others write."""
        return self.folder / "workspace"


def checked_out(revision: str | None, name: str, folder: Path) -> Build:
    """Return a build: this checkout, or a revision written out below a folder."""
    root = ROOT if revision is None else folder / "checkout"
    folder.mkdir(parents=True, exist_ok=True)
    if revision is not None:
        archive = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(root, filter="tar")
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    version = project.get("version", "0")
    # Builds ask for their version by the name of their distribution, not all by the one they have.
    for named in {project["name"].replace("-", "_"), "curate"}:
        info = folder / "info" / f"{named}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ("Metadata-Version: 2.1", f"Name: {named}", f"Version: {version}", "")
        (info / "METADATA").write_text("\n".join(lines))
    return Build(name, root, folder)


def multilingual(data: Path, num: int, *, with_repeats: bool = True) -> Iterator[str]:
    """Yield captions in about 38 languages, those of real photos and pages with small changes.

    Crossmodal-3600 in 33 languages, Tatoeba in others, a tenth LAION-400M, drawn with repetition; a
    third of them have a number of their own, so that 60 of 100 among 150,000 differ, and 38 of 100
    among a million. Without repeats all have.
    """
    lines: list[str] = []
    with gzip.open(data / "xm3600_600/captions.tsv.gz", "rt", encoding="utf-8") as file:
        lines += [line.rstrip("\n").split("\t")[2] for line in file][1:]
    with gzip.open(data / "lid/tatoeba_112langs_x40.tsv.gz", "rt", encoding="utf-8") as file:
        lines += [line.rstrip("\n").split("\t")[1] for line in file][:200]
    lines += web_captions(data)[: len(lines) // 9]
    drawn = np.random.default_rng(0).integers(0, len(lines), num)
    for n, i in enumerate(drawn):
        yield f"{lines[i]} {n}" if n % 3 == 0 or not with_repeats else lines[i]


def of_the_web(data: Path, num: int) -> Iterator[str]:
    """Yield English captions of the web: LAION-400M's, a quarter of the words those of others."""
    captions = [caption.split() for caption in web_captions(data)]
    rng = np.random.default_rng(0)
    for i in rng.integers(0, len(captions), num):
        words, other = list(captions[i]), captions[int(rng.integers(len(captions)))]
        for _ in range(max(1, len(words) // 4)):
            words[int(rng.integers(len(words)))] = other[int(rng.integers(len(other)))]
        yield " ".join(words)


def _write(path: Path, texts: Iterable[str]) -> Path:
    """Write texts and addresses, as they are made."""
    schema = pa.schema({"url": pa.string(), "text": pa.string()})
    with pq.ParquetWriter(path, schema) as file:
        first, left = 0, iter(texts)
        while some := list(islice(left, _ROW_GROUP)):
            urls = [f"https://example.org/{first + i}.jpg" for i in range(len(some))]
            file.write_table(
                pa.table({"url": urls, "text": some}, schema=schema), row_group_size=_ROW_GROUP
            )
            first += len(some)
    return path


def bench_against(
    builds: Sequence[Build],
    folder: Path,
    *,
    num_entries: int,
    num_texts: int,
    rounds: int,
    data: Path,
) -> list[dict[str, Any]]:
    """Time what a user of both builds does, by turns.

    Args:
        builds: this one, and the other, or this one alone.
        folder: for inputs.
        num_entries: of the metadata, English ones.
        num_texts: captions.
        rounds: of each row; of those that compile, at most three.
        data: public captions; rows that need them are left out where it is not there.
    """
    entries, texts = english_one_by_one(num_entries, num_texts)
    (folder / "own.txt").write_text("\n".join(entries), "utf-8")
    (folder / "few.txt").write_text("red dog\ncat\nsofa\npark\n")
    inputs = {"two texts": _write(folder / "two.parquet", ["a red dog in a park", "a cat"])}
    inputs["English captions"] = _write(
        folder / "english.parquet", (f"this is a photo of the {text}"[:72] for text in texts)
    )
    if (data / "xm3600_600").is_dir():
        inputs["web captions"] = _write(folder / "web.parquet", of_the_web(data, num_texts))
        for name, with_repeats in ((_CAPTIONS, True), (f"{_CAPTIONS}, none twice", False)):
            captions = multilingual(data, num_texts, with_repeats=with_repeats)
            inputs[name] = _write(folder / f"captions{len(inputs)}.parquet", captions)
    rows = [
        _row("first build-metadata", builds, min(rounds, 3), _metadata("few.txt", folder, "first")),
        _row("first match of two texts", builds, min(rounds, 3),
             _match(inputs["two texts"], "first")),
        _row("match of two texts", builds, rounds, _match(inputs["two texts"])),
    ]  # fmt: skip
    for build in builds:
        ran(*_metadata("own.txt", folder, "cache")(build))
    first, *others = builds
    # The last of its matches are those that `balance` takes: with a second opinion, as by default.
    alone = replace(first, name=f"{first.name}, --lid published", of_match=("--lid", "published"))
    for name, path in list(inputs.items())[1:]:
        rows.append(
            _row(f"match, {name}", [alone, first, *others], rounds, _match(path), num_texts)
        )
        rows.append(_row(f"balance, {name}", builds, rounds, _balance, num_texts))
        rows.append(_published(name, path, folder, num_texts))
    if (data / "crawl").is_dir():
        pages = _pages(data / "crawl", folder / "pages.warc.gz")
        rows.append(_row("extract, WARC", builds, rounds, _extract(pages)))
    return rows


def _pages(crawl: Path, path: Path) -> Path:
    """Write the public pages one behind the other, again and again."""
    pages = b"".join((crawl / name).read_bytes() for name in _CRAWL)
    path.write_bytes(pages * _REPEATS)
    return path


def _published(name: str, path: Path, folder: Path, num_texts: int) -> dict[str, Any]:
    """Time the published way to match the same texts, once, start included."""
    module = "examples.bench.matching.reference_pipeline"
    seconds = ran([sys.executable, "-m", module, path, folder / "own.txt", folder]).processor_s
    row = {"what": f"the published way, {name}", "processor s": f"{seconds:.2f}",
           "texts/s": round(num_texts / seconds)}  # fmt: skip
    print(row, file=sys.stderr, flush=True)
    return row


Call = Callable[[Build], tuple[list[str], dict[str, str]]]


def _fresh(build: Build, cache: str) -> None:
    if cache == "first":
        shutil.rmtree(build.folder / cache, ignore_errors=True)


def _metadata(entries: str, folder: Path, cache: str) -> Call:
    def call(build: Build) -> tuple[list[str], dict[str, str]]:
        _fresh(build, cache)
        words = ("--lang", "en", "--sources", "none", "--entries", folder / entries, "--overwrite")
        return build.command("build-metadata", *words, "-w", build.workspace, cache=cache)

    return call


def _match(path: Path, cache: str = "cache") -> Call:
    def call(build: Build) -> tuple[list[str], dict[str, str]]:
        _fresh(build, cache)
        words = ("--overwrite", "--quiet", "--workers", "1", "-w", build.workspace)
        return build.command("match", path, *words, *build.of_match, cache=cache)

    return call


def _extract(path: Path) -> Call:
    def call(build: Build) -> tuple[list[str], dict[str, str]]:
        words = ("--overwrite", "--quiet", "--workers", "1", "-w", build.workspace)
        return build.command("extract", path, *words)

    return call


def _balance(build: Build) -> tuple[list[str], dict[str, str]]:
    words = ("-t", "20", "--overwrite", "--quiet", "--workers", "1", "-w", build.workspace)
    return build.command("balance", *words)


def _row(
    name: str, builds: Sequence[Build], rounds: int, call: Call, num: int = 0
) -> dict[str, Any]:
    """Time one command of all builds by turns; ratios are the last one's time to each other's."""
    for build in builds:
        if "first" not in name:
            ran(*call(build))  # what is compiled and kept is so from here on
    seconds = [[ran(*call(build)).processor_s for build in builds] for _ in range(rounds)]
    row: dict[str, Any] = {"what": name}
    for i, build in enumerate(builds):
        median = statistics.median(of_round[i] for of_round in seconds)
        row[f"{build.name}, processor s"] = f"{median:.2f}"
        if num:
            row[f"{build.name}, rows/s"] = round(num / median)
    *ours, others = zip(*seconds, strict=True)
    for build, its in zip(builds, ours, strict=False):
        row[f"{build.name}, ratio"] = ratio(others, its)
    print(row, file=sys.stderr, flush=True)  # a full run takes an hour
    return row
