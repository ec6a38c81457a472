"""How fast `curate browse` is: its index, its first page, searches, entries, images, its memory.

    python -m examples.bench.stored.browse [--pairs 10000000] [--entries 30000000] [--folder DIR]

The matches are generated and balanced as in `card.py`, the images are tars of noise.
The server is the command itself, another process; times are those of requests over the loopback
interface, the median of some after the first, which is shown apart. Rates of the index are pairs
per second of processor time of one core.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import typer

from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.shards.tar import shard_writer
from examples.bench.common.measure import memory_of, processor_s_of
from examples.bench.common.pairs import enlarged, jpeg
from examples.bench.stored.matched import write_matched

SEARCHES = ("entry", "e", "77", "entry 77", "no such entry", "de entry 1234", "9999")
CONNECTIONS = 6  # that a browser opens to one server


def write_tars(folder: Path, num: int = 600, per_tar: int = 200) -> Path:
    """Write tars of noisy JPEGs of 640 by 480 pixels, about 100 KB each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    images = [jpeg(enlarged(rng, (120, 160), (640, 480)), 92) for _ in range(24)]
    for tar in range(num // per_tar):
        with shard_writer(str(folder / f"{tar:05d}.tar")) as writer:
            for at in range(per_tar):
                key = f"{tar * per_tar + at:08d}"
                about = json.dumps({"url": f"https://example.org/{key}.jpg"}).encode()
                writer.add(key, {"jpg": images[at % 24], "txt": f"photo {key}".encode(),
                                 "json": about})  # fmt: skip
    return folder


class Served:
    """`curate browse` as a process.

    Args:
        path: that it browses.
    """

    def __init__(self, path: Path) -> None:
        start = time.perf_counter()
        command = [sys.executable, "-m", "curate", "browse", str(path), "--json", "--quiet"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.address: str = json.loads(self._process.stdout.readline())["address"]
        self.fetch("")
        self.about = json.loads(self.fetch("api/about"))
        self.seconds_to_first_page = time.perf_counter() - start

    def fetch(self, path: str) -> bytes:
        """Return what stands at an address."""
        with urllib.request.urlopen(self.address + path) as answer:
            content: bytes = answer.read()
            return content

    def ask(self, name: str, **asked: Any) -> dict[str, Any]:
        """Return an answer."""
        found: dict[str, Any] = json.loads(self.fetch(f"api/{name}?{urlencode(asked)}"))
        return found

    def memory_mb(self) -> tuple[float, float]:
        """Return the most memory that was resident so far, and that of now, in MB."""
        of = memory_of(self._process.pid)
        return of["VmHWM"] / 1e6, of["VmRSS"] / 1e6

    def processor_seconds(self) -> float:
        """Return the processor time of the process so far."""
        return processor_s_of(self._process.pid)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


def milliseconds(
    served: Served, work: Callable[[], Any], times: int = 10
) -> tuple[float, float, float]:
    """Return how long a request takes at first, the median of the next, and processor time."""
    found = []
    before = 0.0
    for number in range(times + 1):
        if number == 1:
            before = served.processor_seconds()
        start = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - start))
    spent = 1e3 * (served.processor_seconds() - before) / times
    return found[0], statistics.median(found[1:]), spent


def show(name: str, times: tuple[float, float, float]) -> None:
    """Print a line."""
    first, later, spent = times
    print(f"{name}: first {first:,.0f} ms, then {later:,.0f} ms ({spent:,.0f} ms of one core)",
          flush=True)  # fmt: skip


def main(
    pairs: Annotated[int, typer.Option(help="Pairs to generate.")] = 10_000_000,
    entries: Annotated[int, typer.Option(help="Entries of all languages.")] = 30_000_000,
    folder: Annotated[str | None, typer.Option(help="Keep the workspace here.")] = None,
) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        if not (place / "matched").exists():
            write_matched(place, 330, entries, pairs)
            balance_pairs(matched=str(place / "matched"), output=str(place / "balanced"),
                          options=BalanceOptions(t=200), quiet=True)  # fmt: skip
        served = Served(place)
        if (seconds := served.processor_seconds()) > 3:  # there was no index yet
            num = served.about["sets"][0]["pairs"]
            print(f"with its index made: {seconds:.1f} s of one core, {num / seconds:,.0f} pairs/s "
                  f"with {served.about['entries']:,} entries; peak "
                  f"{served.memory_mb()[0]:,.0f} MB")  # fmt: skip
        served.close()
        served = Served(place)
        print(f"first page after a cold start: {served.seconds_to_first_page:.2f} s "
              f"({served.processor_seconds():.2f} s of one core)")  # fmt: skip
        measure(served)
        print(f"memory: {served.memory_mb()[1]:,.0f} MB, peak {served.memory_mb()[0]:,.0f} MB")
        served.close()
        tars = Served(write_tars(Path(temporary) / "tars"))
        print(f"first page of tars after a cold start: {tars.seconds_to_first_page:.2f} s "
              f"({tars.processor_seconds():.2f} s of one core)")  # fmt: skip
        measure_images(tars)
        tars.close()


def measure(served: Served) -> None:
    """Print times of searches, entries, lists and thresholds."""
    for text in SEARCHES:
        show(
            f"entries with {text!r}",
            milliseconds(served, partial(served.ask, "entries", q=text)),
        )
    show("entries with '9', by kept", milliseconds(served, lambda: served.ask("entries", q="9",
                                                                      sort="kept")))  # fmt: skip
    for entry in (0, 1000, 100_000):
        last = milliseconds(served, partial(served.ask, "entry", lang="en", id=entry))
        show(f"page of English entry {entry:,}", last)
    first = [milliseconds(served, partial(served.ask, "entry", lang="en", id=at), 1)[0]
             for at in range(2000, 2040)]  # fmt: skip
    print(f"pages of 40 other entries, each the first time: median {statistics.median(first):,.0f} "
          f"ms, slowest {max(first):,.0f} ms")  # fmt: skip
    show("60 pairs", milliseconds(served, lambda: served.ask("pairs", lang="en", fate="kept")))
    show("what if", milliseconds(served, lambda: served.ask("what-if", t=500)))


def measure_images(served: Served) -> None:
    """Print the time of a list of 60 pairs and their thumbnails, as a browser asks for them."""
    times = []
    after = ""
    before = served.processor_seconds()
    for _ in range(6):
        start = time.perf_counter()
        found = served.ask("pairs", num=60, **({"after": after} if after else {}))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            images = list(pool.map(
                lambda row, s=found["state"]: served.fetch(f"image/{s}/files/{row['at']}"),
                found["rows"],
            ))  # fmt: skip
        times.append(1e3 * (time.perf_counter() - start))
        assert len(images) == 60
        after = found["following"]
    print(f"60 pairs with thumbnails from tars: first {times[0]:,.0f} ms, then "
          f"{statistics.median(times[1:]):,.0f} ms, others each time "
          f"({1e3 * (served.processor_seconds() - before) / 6:,.0f} ms of one core)")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
