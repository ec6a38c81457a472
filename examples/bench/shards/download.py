"""Measure `curate download` and the writing of shards, on loopback.

    python -m examples.bench.shards.download [--images 20000] [--only download|resize|shards]

The server is a process of its own that answers every request with the same JPEG of about 30 kB.
Rates are per second of the clock and per second of the downloading process's processor time: the
machine may be busy with other things.
"""

import argparse
import asyncio
import json
import multiprocessing
import shutil
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from curate.files import storage
from curate.files.sealed_json import write_json
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.download.stage import download_images
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.shards.options import Resize, ShardOptions
from curate.pipelines.shards.samples import encode_json
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.store import artifacts
from examples.bench.common.measure import timed
from examples.bench.common.pairs import enlarged, smallest_jpeg


def photo(num_bytes: int) -> bytes:
    """Return a JPEG of about a size: smooth with noise, 480 pixels high."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(enlarged(rng, (12, 16), (640, 480)), np.float64)
    noisy = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    return smallest_jpeg(Image.fromarray(noisy), num_bytes * 1.05, range(95, 5, -3))


class _Answer(asyncio.Protocol):
    """Answers each request of a connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._pending = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *whole, self._pending = (self._pending + data).split(b"\r\n\r\n")
        for _ in whole:
            self._transport.write(self._answer)


def serve(image: bytes, port: Connection) -> None:
    """Answer requests until the process is ended."""

    async def run() -> None:
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
        )
        answer = head.encode() + image
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Answer(answer), "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def write_balanced(folder: Path, port: int, num: int) -> None:
    """Write balanced pairs as `curate balance` does, whose URLs lead to the server."""
    ids = [f"{i:024x}" for i in range(num)]
    table = pa.table({
        "url": [f"http://127.0.0.1:{port}/{i}.jpg" for i in range(num)],
        "text": [f"a photo of thing number {i}" for i in range(num)],
        "pair_id": ids, "lang": ["en"] * num, "entry_ids": [[1, 2, 3]] * num,
        "probability": pa.array([0.5] * num, pa.float32()),
    })  # fmt: skip
    parameters = {"format": "parquet"}
    stamp = {"parameters": artifacts.digest(parameters), "part": 0}
    artifacts.write_table(str(folder / "pairs" / "00000.parquet"), table, stamp, "bench")
    write_json(str(folder / "plan.json"), {"parameters": parameters})
    write_json(
        str(folder / "datacard.json"), {"balanced": stamp["parameters"], "total": {"kept": num}}
    )


def measure_download(num: int, resize: Resize, workers: int) -> dict[str, float]:
    """Download that many images from a server on loopback."""
    image = photo(30_000)
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(image, there))
    server.start()
    there.close()  # so that a server that does not start is an error here
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_balanced(Path(folder), here.recv(), num)
            took = timed(lambda: download_images(
                balanced=folder, output=f"{folder}/shards", columns=ColumnNames(),
                fetch=FetchOptions(allow_private=True, per_host=64),
                shards=ShardOptions(resize=resize), per_shard=10_000, workers=workers, quiet=True,
            ))  # fmt: skip
            if took.result["downloaded"] != num:
                raise AssertionError(took.result)
    finally:
        server.terminate()
        server.join()
    return {"bytes": len(image), "images": num, "images/s": num / took.clock_s,
            "images/s of the processor": num / took.processor_s}  # fmt: skip


def measure_shards(num: int) -> dict[str, float]:
    """Write samples of 30 kB into one shard, index and sha256 included; and copy it."""
    image, about = photo(30_000), encode_json({"url": "https://example.org/1.jpg", "lang": "en"})
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/00000.tar"

        def write() -> int:
            with shard_writer(path) as writer:
                for i in range(num):
                    writer.add(f"{i:024x}", {"jpg": image, "txt": b"a photo", "json": about})
            return writer.size_bytes

        def copy() -> None:
            with storage.publish(f"{folder}/copy.tar") as out, open(path, "rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)

        took, copied = timed(write), timed(copy)
    megabytes = took.result / 1e6
    return {"MB": megabytes, "MB/s": megabytes / took.clock_s, "MB/s of the processor":
            megabytes / took.processor_s,
            "MB/s of the disk, copying": megabytes / copied.clock_s}  # fmt: skip


def main() -> None:
    """Print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["download", "resize", "shards"])
    options = parser.parse_args()
    runs = {
        "download": lambda: measure_download(options.images, Resize(), options.workers),
        "resize": lambda: measure_download(
            options.images, Resize(mode="keep_ratio", size=256), options.workers
        ),
        "shards": lambda: measure_shards(options.images),
    }
    for name, run in runs.items():
        if options.only in (None, name):
            found = {k: round(v, 1) for k, v in run().items()}
            sys.stdout.write(json.dumps({"measured": name, **found}) + "\n")


if __name__ == "__main__":
    main()
