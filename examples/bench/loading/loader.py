"""How fast images are decoded and shards are loaded.

    python -m examples.bench.loading.loader [--pairs 4000] [--threads 2] [--shards FOLDER]

Without --shards, the shards are made of generated photos of 256 pixels. What the loader costs
beside decoding is measured against a bare loop that decodes and crops the same images, out of
memory, in the same number of threads.
"""

import io
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from curate.training.data.images import crop_into
from curate.training.data.loader import Loader, LoaderConfig, Online, list_shards
from curate.training.data.resize_kernels import resize_box
from curate.training.data.sampler import Sampler
from curate.training.data.samples import captions
from curate.training.data.shards import OpenShards, index_shard
from curate.training.text.tokenizer import Tokenizer, learn_tokenizer
from examples.bench.common.measure import best
from examples.bench.common.pairs import enlarged, jpeg, web_like_captions, write_shards
from examples.bench.common.tables import machine, show

PAIRS_PER_SHARD = 2000
DISTINCT = 100
SIZE = 224
BATCH = 256


def photo(number: int) -> bytes:
    """Return a JPEG of 256 pixels and about 23 KB, smooth with some grain, as photos are."""
    rng = np.random.default_rng(number)
    width, height = [(341, 256), (256, 341), (256, 256)][number % 3]
    smooth = np.asarray(enlarged(rng, (12, 12), (width, height)), np.float32)
    grain = rng.normal(0, 9, (height, width, 1))
    return jpeg(Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)), 85)


def photo_shards(folder: Path, num_pairs: int) -> None:
    """Write shards of photos as `curate balance` does."""
    photos = [photo(number) for number in range(DISTINCT)]
    write_shards(folder, num_pairs, photos, web_like_captions(1000), PAIRS_PER_SHARD)


def rate_and_cost(work: Callable[[], Any], num: int) -> tuple[float, float]:
    """Return the better of two rates, per second, and the microseconds of all cores per item."""
    took = best(work, 2)
    return num / took.clock_s, 1e6 * took.processor_s / num


def in_threads(images: Sequence[bytes], threads: int, decoder: str) -> tuple[float, float]:
    """Return rate and cost of a bare loop in each thread that decodes and crops."""

    def work(part: Sequence[bytes]) -> None:
        out = np.empty((BATCH, 3, SIZE, SIZE), np.uint8)
        for number, encoded in enumerate(part):
            crop_into(out[number % BATCH], encoded, number, decoder)

    parts = [images[t::threads] for t in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return rate_and_cost(lambda: list(pool.map(work, parts)), len(images))


def bench_images(images: Sequence[bytes]) -> list[dict[str, Any]]:
    """Time the parts of what one thread does with an image."""
    import simplejpeg

    decoded = [simplejpeg.decode_jpeg(encoded) for encoded in images[:DISTINCT]]
    opened = [Image.fromarray(pixels) for pixels in decoded]
    out = np.empty((3, SIZE, SIZE), np.uint8)

    def ours(pixels: NDArray[np.uint8]) -> None:
        resize_box(pixels, 4.0, 4.0, pixels.shape[1] - 4.0, pixels.shape[0] - 4.0, out)

    def pillows(image: Image.Image) -> None:
        box = (4, 4, image.width - 4, image.height - 4)
        image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)

    rows: list[tuple[str, Callable[[Any], Any], Sequence[Any]]] = [
        ("decode: simplejpeg", simplejpeg.decode_jpeg, images),
        ("decode: Pillow", lambda x: Image.open(io.BytesIO(x)).load(), images),
        ("crop and resize: ours", ours, decoded),
        ("crop and resize: Pillow", pillows, opened),
        ("both: simplejpeg", lambda x: crop_into(out, x, 1, "simplejpeg"), images),
        ("both: Pillow's decoder", lambda x: crop_into(out, x, 1, "pillow"), images),
    ]
    return [
        {"one thread": name, "images/s": len(xs) / best(partial(_each, do, xs), 2).clock_s}
        for name, do, xs in rows
    ]


def _each(do: Callable[[Any], Any], those: Sequence[Any]) -> None:
    for one in those:
        do(one)


def bench_order(shards: Sequence[str], num_pairs: int) -> list[dict[str, Any]]:
    """Time what every rank does for all pairs: index the tars and put them in order."""

    def work(online: Online | None) -> None:
        sampler = Sampler(shards=shards, seed=0, shuffle_pairs=10_000, online=online)
        for _ in sampler.groups(0):
            pass

    everything = Online({"en": np.ones(1000)})
    return [
        {"one thread": name, "pairs/s": num_pairs / best(partial(work, online), 2).clock_s}
        for name, online in (("index and order", None), ("the same, online", everything))
    ]


def bench_loader(
    shards: Sequence[str],
    tokenizer: Tokenizer,
    threads: int,
    num_pairs: int,
    bare: tuple[float, float],
) -> dict[str, Any]:
    """Time the loader; `bare` is rate and cost of the bare loop in as many threads."""
    config = LoaderConfig(image_size=SIZE, batch_size=BATCH, threads=threads, shuffle_pairs=10_000)
    loading = Loader(shards, tokenizer, config).batches()
    for _ in range(4):  # memory and files are there after these
        next(loading)
    num_batches = max(4, num_pairs // BATCH)

    def work() -> None:
        for _ in range(num_batches):
            next(loading)

    found, cost = rate_and_cost(work, num_batches * BATCH)
    loading.close()
    return {
        "threads": threads,
        "bare loop, images/s": bare[0],
        "loader, images/s": found,
        "bare loop, µs of a core": bare[1],
        "loader, µs of a core": cost,
        "loader's own share": f"{1 - bare[1] / cost:.1%}",
    }


def main(
    pairs: Annotated[int, typer.Option(help="Pairs to generate.")] = 4000,
    threads: Annotated[int, typer.Option(help="Most threads to decode in.")] = 2,
    shards: Annotated[str | None, typer.Option(help="Folder of tars of your own.")] = None,
) -> None:
    """Print the tables."""
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        if shards is None:
            photo_shards(Path(folder), pairs)
        tars = list_shards(shards or folder)
        files, indices = OpenShards(), [index_shard(tar) for tar in tars]
        places = [(i.path, *place) for i in indices for place in i.image.tolist() if place[1]]
        images = [files.read(*place) for place in places]
        print(f"{len(images):,} images of {np.mean([len(x) for x in images]) / 1024:.1f} KiB")
        show("Images", bench_images(images[: 4 * DISTINCT]))
        show("Order", bench_order(tars, len(images)))
        tokenizer = learn_tokenizer(captions(tars), 4000, 77)
        rows = []
        for num in sorted({1, threads}):
            bare = in_threads(images, num, "simplejpeg")
            rows.append(bench_loader(tars, tokenizer, num, len(images) // 2, bare))
        show("Loader", rows)


if __name__ == "__main__":
    typer.run(main)
