"""Folders of vectors with given rows, and pictures with planted duplicates, for tests."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image, ImageOps

from curate.pipelines.embedded.plan import EmbeddedPlan, Source, embedding_schema
from curate.pipelines.store import artifacts


def write_embeddings(folder, parts, *, source="shards", one_model=False):
    """Write vectors as `embed` does.

    Args:
        folder: to write to.
        parts: of each, columns by name: pair_id, and any of the others.
        source: matched or shards.
        one_model: whether one model made the vectors of images and texts.
    """
    widths = {name: len(next(v for p in parts for v in p[name] if v is not None))
              for name in ("image", "text") if name in parts[0]}  # fmt: skip
    columns = {name: {"width": width, "sha256": "model" if one_model else f"{name} model"}
               for name, width in widths.items()}  # fmt: skip
    parameters = {"source": source, "columns": columns, "fingerprints": True, "precision":
                  "float32", "batch_size": 64, "decoder": "simplejpeg"}  # fmt: skip
    sources = [Source(f"{n:05d}.tar", f"sum {n}") for n in range(len(parts))]
    plan = EmbeddedPlan(str(folder), parameters, sources)
    plan.write()
    schema = embedding_schema(widths, with_images=True)
    num = 0
    for index, part in enumerate(parts):
        rows = len(part["pair_id"])
        num += rows
        given = {name: part.get(name, [None] * rows) for name in schema.names}
        arrays = [_array(given[f.name], f.type) for f in schema]
        stamp = {"parameters": artifacts.digest(parameters), "source": sources[index].as_dict(),
                 "summary": {}}  # fmt: skip
        with artifacts.parquet_writer(plan.path(index), schema) as writer:
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
            writer.close(stamp, "")
    there = {f"{name}_vectors": sum(v is not None for p in parts for v in p[name])
             for name in widths}  # fmt: skip
    summary = {"plan": plan.digest(), "pairs": num, "parts": len(parts), "columns": columns,
               **there}  # fmt: skip
    artifacts.write_json(f"{folder}/summary.json", summary)
    return plan


def _array(values, kind):
    if pa.types.is_fixed_size_list(kind):
        is_there = np.array([v is not None for v in values], bool)
        flat = np.zeros((len(values), kind.list_size), np.float16)
        for row in np.flatnonzero(is_there):
            flat[row] = values[row]
        return pa.FixedSizeListArray.from_arrays(
            pa.array(flat.reshape(-1)), kind.list_size, mask=pa.array(~is_there)
        )
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)


def picture(seed, width=260, height=180):
    """Return a smooth picture."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (9, 13, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, quality=90, kind="JPEG"):
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def planted(image):
    """Return duplicates of a picture, encoded, by kind."""
    return {
        "again": encoded(image),
        "re-encoded": encoded(image, quality=40),
        "png": encoded(image, kind="PNG"),
        "half": encoded(image.resize((image.width // 2, image.height // 2))),
        "mirrored": encoded(ImageOps.mirror(image)),
        "turned": encoded(image.transpose(Image.Transpose.ROTATE_90)),
    }  # fmt: skip
