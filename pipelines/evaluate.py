"""`curate eval`: a trained model on held-out images: zero-shot classes, or retrieval of texts."""

from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from metadata.errors import InputError
from pipelines import storage
from pipelines.readers import plan_parts, read_part
from pipelines.records import ColumnNames, find_column
from pipelines.rows import Unreadable
from pipelines.sample_images import image_bytes
from training import require_packages

__all__ = ["evaluate_model"]


def evaluate_model(
    data: list[str],
    *,
    run: str,
    classes: str | None = None,
    templates: str | None = None,
    group_by: str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Evaluate a model on files with images and either labels or texts.

    Args:
        data: Parquet files or tars with images and a column ``label`` (zero-shot classification)
            or texts (retrieval).
        run: folder that `train` wrote.
        classes: file with a class name per line; None for the labels that occur.
        templates: file with a prompt per line, ``{name}`` for the class and ``{a}`` for its
            article; None for three of ours.
        group_by: a column (``lang``, ``split``) by whose values the figures are given too.
        device: where the model runs.

    Returns:
        Per file: its task, its number of images, and the figures, all and by group. They are
        written to ``<run>/eval/<file>.json`` as well.

    Raises:
        InputError: a file has no images, or neither labels nor texts.
        ArtifactError: the run is not finished.
    """
    require_packages("curate eval")
    from training.run import load_model

    model, tokenizer = load_model(run, device)
    results = {}
    for path in storage.expand(data):
        table = _read(path)
        images, kept = _images(table, path, model.config.image_size)
        num_unusable = table.num_rows - len(kept)
        table = table.take(pa.array(kept))
        names = table.schema.names
        if group_by is not None and group_by not in names:
            raise InputError(f"{path}: there is no column {group_by!r}; it has {', '.join(names)}")
        groups = table.column(group_by).to_pylist() if group_by else None
        text = find_column(table.schema, "text", ColumnNames(), path)
        if "label" in names:
            labels = table.column("label").to_pylist()
            found = _zero_shot(model, tokenizer, images, labels, groups, classes, templates)
        elif text is not None:
            texts = [_as_text(value) for value in table.column(text).to_pylist()]
            found = _retrieval(model, tokenizer, images, texts, groups)
        else:
            raise InputError(
                f"{path}: nothing to compare the images with; expected a column label or text, "
                f"it has {', '.join(names)}"
            )
        stem = PurePosixPath(path).stem
        results[stem] = {"file": path, "images": len(images), "unusable": num_unusable, **found}
        storage.write_json(storage.join(run, "eval", f"{stem}.json"), results[stem])
    return {"run": run, "results": results}


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def _read(path: str) -> pa.Table:
    batches = []
    for part in plan_parts(path, ""):
        for rows in read_part(part):
            if isinstance(rows, Unreadable):
                raise InputError(f"{path}: cannot be read: {rows.detail}")
            batches.append(rows.batch)
    if not batches:
        raise InputError(f"{path}: there are no rows in it")
    return pa.Table.from_batches(batches).combine_chunks()


def _images(table: pa.Table, path: str, size: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Decode the images; return them and the rows they are of."""
    from PIL import Image

    from training.images import decode, fit

    pixels, kept = [], []
    batch = table.to_batches()[0]
    for row in range(table.num_rows):
        encoded = image_bytes(batch, row)
        try:
            pixels.append(fit(decode(encoded or b""), size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        kept.append(row)
    if not pixels:
        raise InputError(
            f"{path}: no usable image; expected a column image (bytes) or a WebDataset tar"
        )
    return np.stack(pixels), kept


def _lines(path: str) -> list[str]:
    with storage.open_read(path) as file:
        return [line for line in file.read().decode().splitlines() if line.strip()]


def _zero_shot(
    model: Any,
    tokenizer: Any,
    images: NDArray[np.uint8],
    labels: list[str],
    groups: list[str] | None,
    classes: str | None,
    templates: str | None,
) -> dict[str, Any]:
    from training.evaluate import TEMPLATES, embed_images, zero_shot_logits

    names = _lines(classes) if classes else sorted(set(labels))
    unknown = sorted(set(labels) - set(names))
    if unknown:
        raise InputError(
            f"{classes}: the label {unknown[0]!r} is not in this list of classes"
            + (f", nor are {len(unknown) - 1} others" if len(unknown) > 1 else "")
        )
    prompts = _lines(templates) if templates else TEMPLATES
    logits_NC = zero_shot_logits(model, tokenizer, embed_images(model, images), names, prompts)
    position = {name: i for i, name in enumerate(names)}
    target = np.array([position[label] for label in labels])
    best = logits_NC.argsort(dim=1, descending=True)[:, :5].numpy()
    top1, top5 = best[:, 0] == target, (best == target[:, None]).any(axis=1)
    result: dict[str, Any] = {
        "task": "zero-shot classification", "classes": len(names), "chance": 1 / len(names),
        "top1": float(top1.mean()), "top5": float(top5.mean()),
    }  # fmt: skip
    if groups is not None:
        of = np.array(groups)
        result["top1_by_group"] = {g: float(top1[of == g].mean()) for g in sorted(set(groups))}
    return result


def _retrieval(
    model: Any,
    tokenizer: Any,
    images: NDArray[np.uint8],
    texts: list[str],
    groups: list[str] | None,
) -> dict[str, Any]:
    """Retrieve among the distinct images: one that comes with several texts is one image."""
    from training.evaluate import embed_images, embed_texts, retrieval_recall

    number: dict[bytes, int] = {}
    owner = [number.setdefault(sha256(i.tobytes()).digest(), len(number)) for i in images]
    first = np.unique(owner, return_index=True)[1]
    image_NE = embed_images(model, images[first])
    text_ME = embed_texts(model, tokenizer, texts)
    result: dict[str, Any] = {
        "task": "retrieval", "texts": len(texts), "distinct_images": len(number),
        "chance_R@1": 1 / len(number), **retrieval_recall(image_NE, text_ME, owner),
    }  # fmt: skip
    if groups is not None:
        of = np.array(groups)
        result["by_group"] = {}
        for group in sorted(set(groups)):
            rows = np.flatnonzero(of == group)
            result["by_group"][group] = retrieval_recall(
                image_NE, text_ME[rows], [owner[r] for r in rows]
            )
    return result
