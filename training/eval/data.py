"""What an evaluation set is, and the samples of folders, WebDataset tars and Parquet files.

A reader yields the samples of one rank: every `world`-th, beginning with its own. Images stay
encoded; nothing is held but the batch at hand.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from curate.errors import InputError
from curate.files.storage import open_read
from curate.training.eval.files import IMAGE_SUFFIXES, find, folders, read_tar
from curate.training.eval.prompts import Vocabulary
from curate.training.eval.table_files import PATH_COLUMNS, named_image, table_batches
from curate.training.tars.captions import JSON_TEXTS, caption_of, json_object

__all__ = ["EvalDataset", "EvalSample", "folder_samples", "image_key", "table_rows",
           "tar_samples"]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSample:
    """An image with what it is compared with.

    Attributes:
        where: file and row, for messages.
        key: the same for samples of the same image.
        image: encoded; None where there is none.
        label: number of its class, or of the right one among its texts.
        classes: whether it has each class; for multilabel.
        texts: captions, or the answers to choose from.
        groups: of the sample, or one of each text: languages, for example; empty for none.
    """

    where: str
    key: str
    image: bytes | None
    label: int | None = None
    classes: tuple[bool, ...] = ()
    texts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalDataset:
    """Something to evaluate a model on.

    Attributes:
        name: of the result.
        path: where it is.
        task: zeroshot, multilabel, retrieval or choice.
        samples: from rank and number of ranks to the samples of that rank.
        vocabularies: what the classes are called, in one language or several.
        num_classes: that labels are numbers of; vocabularies may name some of them only.
        asked: what was given beside the path and is not the default, for the result.
    """

    name: str
    path: str
    task: str
    samples: Callable[[int, int], Iterator[EvalSample]]
    vocabularies: tuple[Vocabulary, ...] = field(default=())
    num_classes: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)


def image_key(image: bytes | None) -> str:
    """Return a key that samples with the same encoded image share."""
    return xxhash.xxh3_128_hexdigest(image or b"")


def folder_samples(
    root: str, class_of: dict[str, int], rank: int, world: int
) -> Iterator[EvalSample]:
    """Yield the images of a folder whose subfolders are classes.

    Args:
        root: the folder.
        class_of: number of each subfolder's class.
        rank: the first sample to yield.
        world: the step.

    Raises:
        InputError: there is no image in it.
    """
    paths = find(root, IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{root}: there are no images ({', '.join(IMAGE_SUFFIXES)}) in subfolders")
    for path in paths[rank::world]:
        inside = path[len(root.rstrip("/")) + 1 :]
        folder = inside.split("/", 1)[0]
        with open_read(path) as file:
            yield EvalSample(where=path, key=inside, image=file.read(), label=class_of.get(folder))


def class_folders(root: str, names: Sequence[Sequence[str]], classes: str) -> dict[str, int]:
    """Return the number of each subfolder's class: by its name, else by its place in order.

    Raises:
        InputError: the folders are neither named like the classes nor as many.
    """
    found = folders(root)
    by_name = {name: i for i, several in enumerate(names) for name in several}
    if found and all(folder in by_name for folder in found):
        return {folder: by_name[folder] for folder in found}
    if len(found) != len(names):
        raise InputError(
            f"{root}: {len(found)} folders, but {classes} has {len(names)} classes; expected a "
            "folder per class, named as the class or in the same order when sorted"
        )
    return {folder: i for i, folder in enumerate(found)}


def tar_samples(
    tars: Sequence[str], task: str, group_by: str | None, rank: int, world: int
) -> Iterator[EvalSample]:
    """Yield the samples of WebDataset tars.

    ``.cls`` is a label, ``.npy`` a one or zero per class, lines of ``.txt`` are captions.

    Args:
        tars: paths.
        task: zeroshot, multilabel or retrieval.
        group_by: a field of the samples' ``.json``.
        rank: the first sample of each tar to yield.
        world: the step.

    Raises:
        InputError: a tar is cut off, or a sample lacks its label, captions or group.
    """
    for tar in tars:
        for _, key, files in read_tar(tar, rank, world):
            where = f"{tar}, sample {key}"
            yield EvalSample(
                where=where,
                key=f"{tar}/{key}",
                image=next((files[s] for s in IMAGE_SUFFIXES if s in files), None),
                label=_tar_label(files, where) if task == "zeroshot" else None,
                classes=_tar_classes(files, where) if task == "multilabel" else (),
                texts=_tar_texts(files, where) if task == "retrieval" else (),
                groups=() if group_by is None else (_tar_group(files, group_by, where),),
            )


def _tar_label(files: dict[str, bytes], where: str) -> int:
    content = files.get("cls")
    try:
        return int(content or b"")
    except ValueError as error:
        got = "none" if content is None else repr(content[:40])
        raise InputError(f"{where}: got {got} for .cls; expected the number of a class") from error


def _tar_classes(files: dict[str, bytes], where: str) -> tuple[bool, ...]:
    try:
        values = np.load(io.BytesIO(files["npy"]), allow_pickle=False)
    except (KeyError, ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{where}: no labels ({error!r}); expected a .npy of a one or zero per class"
        ) from error
    return tuple(bool(v) for v in values.ravel())


def _tar_texts(files: dict[str, bytes], where: str) -> tuple[str, ...]:
    content = (caption_of(files, json_object(files.get("json"))) or b"").decode("utf-8", "replace")
    texts = tuple(line for line in content.splitlines() if line.strip())
    if not texts:
        raise InputError(
            f"{where}: there is no text; expected a .txt with a caption per line, or one in a "
            f"field of its .json: {', '.join(JSON_TEXTS)}"
        )
    return texts


def _tar_group(files: dict[str, bytes], name: str, where: str) -> str:
    try:
        return str(json.loads(files.get("json", b""))[name])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: there is no field {name!r} in its .json to group by") from error


def table_rows(
    paths: Sequence[str], columns: Sequence[str], rank: int, world: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every `world`-th row of tables: where it stands, and its columns.

    Images come as bytes: Hugging Face's (a struct of bytes and path), and those of files that a
    column of `PATH_COLUMNS` names.

    Raises:
        InputError: a file cannot be read.
    """
    for path in paths:
        first = 0
        for batch in table_batches(path, columns):
            own = range((rank - first) % world, batch.num_rows, world)
            for at, row in zip(own, batch.take(pa.array(own, pa.int64())).to_pylist(), strict=True):
                row["image"] = _image_of(path, row)
                yield f"{path}, row {first + at}", row
            first += batch.num_rows


def _image_of(table: str, row: dict[str, Any]) -> bytes | None:
    """Return the encoded image of a row: in it, or in the file that it names."""
    image = row.get("image")
    if isinstance(image, dict):
        inside = image.get("bytes")
        image = inside if isinstance(inside, bytes) else image.get("path")
    if image is None:
        image = next((row[name] for name in PATH_COLUMNS if row.get(name)), None)
    if isinstance(image, str):
        return named_image(table, image)
    return image if isinstance(image, bytes) else None
