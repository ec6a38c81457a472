"""Evaluation sets by their layouts: folders, WebDataset, Parquet, Crossmodal-3600, CVQA.

`open_dataset` tells the layout by what is there; an ``eval.json`` names several sets. Class names
are the set's own, a file's, or Babel-ImageNet's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import xxhash

from curate.errors import InputError, UsageError
from curate.files.storage import exists, join, read_text
from curate.training.eval.captions import open_cvqa, open_xm3600
from curate.training.eval.data import (
    EvalDataset,
    class_folders,
    folder_samples,
    tar_samples,
)
from curate.training.eval.files import find, folders, read_tar
from curate.training.eval.prompts import Vocabulary, own_vocabulary, read_babel, read_vocabularies
from curate.training.eval.table_files import (
    PATH_COLUMNS,
    TABLE_SUFFIXES,
    TEXT_TABLE_SUFFIXES,
    first_names,
    table_schema,
)
from curate.training.eval.tables import open_tables
from curate.training.tars.promised import missing_tars, promised_samples

__all__ = ["EvalSpec", "load_datasets", "open_dataset"]

FORMATS = ("auto", "folder", "wds", "parquet", "table", "xm3600", "cvqa")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """How to read an evaluation set; an entry of ``eval.json`` has these keys.

    Attributes:
        path: folder, file or pattern; local or an fsspec URL.
        name: of the result; None for the last part of the path.
        format: auto, folder, wds, parquet, table (CSV and JSON lines too), xm3600 or cvqa.
        split: folder of a wds set's tars.
        classes: file with the names of a class per line, separated by tabs; ``{lang}`` in the path
            stands for each of the languages. None for what the set brings along.
        labels: Babel-ImageNet's JSON of class ids and names per language, instead of classes.
        templates: file with a template per line; ``{lang}`` likewise. None for what the set brings
            along, else three of ours.
        languages: codes; () for all there are.
        group_by: a column, or field of a tar's ``.json``, to give figures by.
        texts: local, or english for the translations (cvqa).
        prompt: of an answer, with {question} and {option} (cvqa).
        share: of the samples, chosen by a hash of where they stand; for a quick look.
    """

    path: str
    name: str | None = None
    format: str = "auto"
    split: str = "test"
    classes: str | None = None
    labels: str | None = None
    templates: str | None = None
    languages: tuple[str, ...] = ()
    group_by: str | None = None
    texts: str = "local"
    prompt: str = "{question} {option}"
    share: float = 1.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them cannot be meant.
        """
        if self.format not in FORMATS:
            raise UsageError(f"unknown format {self.format!r}; expected {', '.join(FORMATS)}")
        if self.texts not in ("local", "english"):
            raise UsageError(f"texts is {self.texts!r}; expected local or english")
        if not 0 < self.share <= 1:
            raise UsageError(f"share is {self.share}; expected more than 0 and at most 1")
        if self.classes and self.labels:
            raise UsageError("classes and labels are both given; expected one of them")


def load_datasets(path: str) -> list[EvalDataset]:
    """Open the sets of an ``eval.json``: ``{"datasets": [{"path": …, …}, …]}``.

    A relative path in it is relative to the folder it is in.

    Raises:
        InputError: it is not of this form, or a set cannot be read.
    """
    try:
        entries = json.loads(read_text(path))["datasets"]
        specs = [_spec(entry, path) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not an evaluation config ({error!r}); expected "
            '{"datasets": [{"path": …}]}'
        ) from error
    datasets = [open_dataset(spec) for spec in specs]
    names = [d.name for d in datasets]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or not names:
        raise InputError(
            f"{path}: two sets are named {twice[0]!r}; give one of them another name"
            if twice
            else f"{path}: there is no dataset in it"
        )
    return datasets


def _spec(entry: dict[str, Any], path: str) -> EvalSpec:
    known = {f.name for f in fields(EvalSpec)}
    if unknown := sorted(set(entry) - known):
        raise InputError(f"{path}: unknown key {unknown[0]!r}; expected {', '.join(sorted(known))}")
    values = {**entry, "languages": tuple(entry.get("languages", ()))}
    for key in ("path", "classes", "labels", "templates"):
        value = values.get(key)
        if isinstance(value, str) and "://" not in value and not value.startswith("/"):
            folder = path.rpartition("/")[0]
            values[key] = join(folder, value) if folder else value
    return EvalSpec(**values)


def open_dataset(spec: EvalSpec) -> EvalDataset:
    """Open an evaluation set; its images are read later.

    Raises:
        InputError: there is nothing, nothing that we know, or what belongs to it is missing.
    """
    kind = _detect(spec) if spec.format == "auto" else spec.format
    opened = {"folder": _open_folder, "wds": _open_wds, "parquet": _open_tables,
              "table": _open_tables,
              "xm3600": _open_xm3600, "cvqa": _open_cvqa}[kind](spec)  # fmt: skip
    name = spec.name or PurePosixPath(spec.path.rstrip("/").replace("*", "")).stem or opened.name
    opened = replace(opened, name=name, asked=_asked(spec))
    return opened if spec.share == 1 else replace(opened, samples=_thinned(opened, spec.share))


def _asked(spec: EvalSpec) -> dict[str, Any]:
    """Return what was asked for beside the path and the name, without what is the default."""
    return {
        f.name: list(value) if isinstance(value := getattr(spec, f.name), tuple) else value
        for f in fields(spec)
        if f.name not in ("path", "name") and getattr(spec, f.name) != f.default
    }


def _thinned(dataset: EvalDataset, share: float) -> Any:
    def samples(rank: int, world: int) -> Any:
        for sample in dataset.samples(rank, world):
            place = sample.where.removeprefix(dataset.path)  # the same wherever the set lies
            if xxhash.xxh3_64_intdigest(place.encode()) < share * 2**64:
                yield sample

    return samples


def _detect(spec: EvalSpec) -> str:
    """Tell the layout of a path by what is there."""
    path = spec.path
    if exists(join(path, "captions.tsv")) or exists(join(path, "captions.jsonl")):
        return "xm3600"
    if tables := find(path, ("parquet",)):
        names = {name.lower() for name in table_schema(tables[0]).names}
        return "cvqa" if {"options", "label"} <= names else "table"
    if _tars(spec):
        return "wds"
    if _image_tables(path):
        return "table"
    if folders(path):
        return "folder"
    problem = "no evaluation set" if exists(path) else "there is no such file or folder"
    raise InputError(
        f"{path}: {problem}; expected Parquet files, WebDataset tars, a folder of classes, "
        "Crossmodal-3600 (captions.tsv with images/), or a CSV or JSON lines with a column "
        "file_name beside the images"
    )


def _image_tables(path: str) -> list[str]:
    """Return the text tables that name image files."""
    found = find(path, TEXT_TABLE_SUFFIXES)
    return [table for table in found if {*PATH_COLUMNS} & {*first_names(table)}]


def _vocabularies(
    spec: EvalSpec, classes: str | None, templates: str | None
) -> tuple[Vocabulary, ...]:
    """Read the class names that the user gave, else those that the set brings along."""
    templates = spec.templates or templates
    if spec.labels:
        return read_babel(spec.labels, templates, spec.languages)
    classes = spec.classes or classes
    if classes is None:
        raise InputError(
            f"{spec.path}: there are no class names with it; give a file of them (--classes), "
            "a class per line in the order of their numbers"
        )
    return read_vocabularies(classes, templates, spec.languages)


def _num_classes(spec: EvalSpec, vocabularies: Sequence[Vocabulary]) -> int:
    """Return how many classes labels may number."""
    if spec.labels:  # of all languages, not of the chosen ones: each names some classes only
        vocabularies = read_babel(spec.labels, None)
    return 1 + max(i for v in vocabularies for i in v.class_ids)


def _open_folder(spec: EvalSpec) -> EvalDataset:
    found = folders(spec.path)
    _check_no_splits(spec.path, found)
    if spec.classes or spec.labels:
        vocabularies = _vocabularies(spec, None, None)
        num = _num_classes(spec, vocabularies)
    else:
        names = tuple((folder.replace("_", " "),) for folder in found)
        vocabularies, num = (own_vocabulary(names, spec.templates),), len(names)
    if spec.labels:
        if len(found) < num:
            raise InputError(
                f"{spec.path}: {len(found)} folders, but {spec.labels} names classes up to "
                f"{num - 1}; expected a folder per class, in the same order when sorted"
            )
        class_of, num = {folder: i for i, folder in enumerate(found)}, len(found)
    elif spec.classes:
        class_of = class_folders(spec.path, vocabularies[0].names, spec.classes)
    else:
        class_of = {folder: i for i, folder in enumerate(found)}
    return EvalDataset(
        name="", path=spec.path, task="zeroshot", vocabularies=vocabularies, num_classes=num,
        samples=partial(folder_samples, spec.path, class_of),
    )  # fmt: skip


_SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev"})


def _check_no_splits(path: str, found: Sequence[str]) -> None:
    """Refuse a folder whose folders are parts of a set, and no classes.

    Raises:
        InputError: it is one.
    """
    splits = [name for name in found if name.lower() in _SPLITS]
    if splits and len(splits) == len(found):
        chosen = next((n for n in splits if n.lower().startswith(("test", "val"))), splits[0])
        raise InputError(
            f"{path}: its folders are {', '.join(splits)}: parts of a set and no classes. Name one "
            f"of them: {join(path, chosen)}"
        )


def _tars(spec: EvalSpec) -> list[str]:
    return find(join(spec.path, spec.split), ("tar",)) or find(spec.path, ("tar",))


def _open_wds(spec: EvalSpec) -> EvalDataset:
    tars = _tars(spec)
    if not tars:
        raise InputError(f"{spec.path}: there are no tars; expected {spec.split}/0.tar, …")
    _check_number(tars)
    root = tars[0].rpartition("/")[0]
    if root.rpartition("/")[2] == spec.split:
        root = root.rpartition("/")[0]
    task = _wds_task(root, tars)
    dataset = EvalDataset(
        name="", path=spec.path, task=task, samples=partial(tar_samples, tars, task, spec.group_by)
    )
    if task == "retrieval":
        return dataset
    beside = [join(root, "classnames.txt"), join(root, "zeroshot_classification_templates.txt")]
    classes, templates = (path if exists(path) else None for path in beside)
    vocabularies = _vocabularies(spec, classes, templates)
    num = _num_classes(spec, vocabularies)
    return replace(dataset, vocabularies=vocabularies, num_classes=num)


def _check_number(tars: Sequence[str]) -> None:
    folder = tars[0].rpartition("/")[0] or "."
    beside = [name.rpartition("/")[2] for name in find(folder, ("tar", "idx", "json"))]
    if gone := [tar for tar in missing_tars(beside) if promised_samples(join(folder, tar))]:
        raise InputError(
            f"{join(folder, gone[0])} is missing: what stands beside it promises samples. Get it, "
            "since a figure over a part of the set would mislead"
        )
    counted = join(tars[0].rpartition("/")[0], "nshards.txt")
    if exists(counted) and (text := read_text(counted).strip()) != str(len(tars)):
        raise InputError(
            f"{counted} says {text} tars, but {len(tars)} are there; get the missing ones, since "
            "a figure over a part of the set would mislead"
        )


def _wds_task(root: str, tars: Sequence[str]) -> str:
    """Tell by ``dataset_type.txt``, else by the first sample."""
    if exists(said := join(root, "dataset_type.txt")):
        kind = read_text(said).strip().lower()
        tasks = {"classification": "zeroshot", "multilabel": "multilabel", "retrieval": "retrieval"}
        if kind not in tasks:
            raise InputError(f"{said}: the type is {kind!r}; expected {', '.join(tasks)}")
        return tasks[kind]
    first = next((files for tar in tars for _, _, files in read_tar(tar, 0, 1)), None)
    if first is None:
        raise InputError(f"{tars[0]}: there is no sample in it")
    return "zeroshot" if "cls" in first else "retrieval"


def _open_tables(spec: EvalSpec) -> EvalDataset:
    paths = _tables(spec)
    given = _vocabularies(spec, None, None) if spec.classes or spec.labels else ()
    num = _num_classes(spec, given) if given else 0
    return open_tables(
        spec.path, paths, given, num, spec.classes or spec.labels, spec.templates, spec.group_by
    )


def _open_xm3600(spec: EvalSpec) -> EvalDataset:
    return open_xm3600(spec.path, spec.languages)


def _open_cvqa(spec: EvalSpec) -> EvalDataset:
    return open_cvqa(spec.path, _tables(spec), spec.texts, spec.prompt)


def _tables(spec: EvalSpec) -> list[str]:
    paths = find(spec.path, ("parquet",)) or _image_tables(spec.path)
    if not paths:
        raise InputError(
            f"{spec.path}: there are no tables ({', '.join(TABLE_SUFFIXES)}) of images"
        )
    return paths
