"""Write a toy web: Parquet files of pairs, a held-out set, dumps and page views."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from examples.toyweb import world
from examples.toyweb.images import draw_scene
from examples.toyweb.rows import BLOCK_ROWS, Block, blocks, sample_scenes
from examples.toyweb.wiki import write_dumps, write_pageviews
from examples.toyweb.world import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyWeb:
    """What to write.

    Attributes:
        rows: pairs.
        files: Parquet files to spread them over.
        seed: of everything.
        images: draw the images; without them rows are texts and URLs only.
        image_size: pixels of both sides.
        eval_rows: held-out images per evaluation set.
    """

    rows: int = 20_000
    files: int = 2
    seed: int = 0
    images: bool = True
    image_size: int = 32
    eval_rows: int = 800


def toy_batches(
    seed: int, first: int, stop: int, image_size: int | None
) -> Iterator[pa.RecordBatch]:
    """Yield rows as record batches: url, text, concept, and image unless the size is None."""
    for block in blocks(seed, first, stop):
        yield _batch(block, image_size)


def _batch(block: Block, image_size: int | None) -> pa.RecordBatch:
    columns = {
        "url": pa.array(block.urls),
        "text": pa.array(block.texts),
        "concept": pa.array([world.class_name(scene.concept) for scene in block.scenes]),
    }
    if image_size is not None:
        drawn = map(draw_scene, block.scenes, block.jitter, [image_size] * len(block.scenes))
        columns["image"] = pa.array(list(drawn), pa.binary())
    return pa.RecordBatch.from_pydict(columns)


def write_toy_web(out: Path, toy: ToyWeb) -> None:
    """Write ``web/``, ``sources/`` and, with images, ``eval/`` below a folder."""
    write_web(out / "web", toy)
    write_dumps(out / "sources" / "dumps", toy.seed)
    write_pageviews(out / "sources" / "pageviews", toy.seed)
    if toy.images:
        write_eval(out / "eval", toy)


def write_web(folder: Path, toy: ToyWeb) -> None:
    """Write the pairs; a block of rows is the same in however many files they are."""
    folder.mkdir(parents=True, exist_ok=True)
    size = toy.image_size if toy.images else None
    num_blocks = -(-toy.rows // BLOCK_ROWS)
    bounds = [num_blocks * i // toy.files * BLOCK_ROWS for i in range(toy.files + 1)]
    for index in range(toy.files):
        first, stop = bounds[index], min(bounds[index + 1], toy.rows)
        schema = _batch(next(blocks(toy.seed, 0, 1)), size).schema
        with pq.ParquetWriter(folder / f"part-{index:05d}.parquet", schema) as writer:
            for batch in toy_batches(toy.seed, first, stop, size):
                writer.write_batch(batch)


def write_eval(folder: Path, toy: ToyWeb) -> None:
    """Write held-out images: with class names, and with clean captions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([toy.seed, 4])
    concepts = [i % world.NUM_CONCEPTS for i in range(toy.eval_rows)]
    plain = [Scene(*divmod(c, len(world.SHAPES))) for c in concepts]
    classes = pa.table(
        {
            "image": _images(plain, rng, toy.image_size),
            "label": [world.class_name(c) for c in concepts],
            "split": ["head" if world.is_head(c) else "tail" for c in concepts],
        }
    )
    pq.write_table(classes, folder / "zeroshot.parquet")
    names = [world.class_name(c) for c in range(world.NUM_CONCEPTS)]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    scenes = list(dict.fromkeys(sample_scenes(rng, 8 * toy.eval_rows)))[: toy.eval_rows]
    langs = rng.choice(world.LANGUAGES, len(scenes), p=world.LANGUAGE_SHARES).tolist()
    captions = pa.table(
        {
            "image": _images(scenes, rng, toy.image_size),
            "text": [world.caption(s, lang, 1) for s, lang in zip(scenes, langs, strict=True)],
            "lang": langs,
        }
    )
    pq.write_table(captions, folder / "retrieval.parquet")


def _images(scenes: list[Scene], rng: np.random.Generator, size: int) -> pa.Array:
    jitter = rng.random((len(scenes), 8))
    return pa.array([draw_scene(s, j, size) for s, j in zip(scenes, jitter, strict=True)])
