"""Folders and tars of evaluation sets, local or behind an fsspec URL."""

import os
from collections.abc import Iterator

from curate.errors import InputError
from curate.files.patterns import is_no_data
from curate.files.storage import filesystem_of, is_local, join
from curate.training.tars.members import TarBytes, open_tar, scan
from curate.training.tars.names import IMAGE_SUFFIXES
from curate.training.tars.promised import promised_samples
from curate.training.tars.samples import TarSamples, find_samples

__all__ = ["IMAGE_SUFFIXES", "find", "folders", "read_tar"]


def folders(path: str) -> list[str]:
    """Return the names of the folders in a folder, sorted, without those that are no data."""
    filesystem, inside = filesystem_of(path)
    if not filesystem.isdir(inside):
        return []
    if is_local(path):  # a link to a folder is one
        names = [entry.name for entry in os.scandir(inside) if entry.is_dir()]
    else:
        found = filesystem.ls(inside, detail=True)
        names = [_name(f["name"]) for f in found if f["type"] == "directory"]
    return sorted(name for name in names if not is_no_data(name))


def find(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files below a folder whose names end in one of `suffixes`, sorted.

    Numbers sort by value: ``2.tar`` comes before ``10.tar``. The path may also be such a file, or
    a pattern. Files that are no data (``._x.jpg``, ``.ipynb_checkpoints``) are passed over.
    """
    filesystem, inside = filesystem_of(path)
    if filesystem.isfile(inside):
        return [path] if path.lower().endswith(tuple(f".{s}" for s in suffixes)) else []
    if any(c in inside for c in "*?["):
        found, base = filesystem.glob(inside), ""
    else:
        found = _walk(inside) if is_local(path) else filesystem.find(inside)
        base = inside.rstrip("/")
    names = [f for f in found if f.lower().endswith(tuple(f".{s}" for s in suffixes))
             and not is_no_data(f[len(base) :] if base else _name(f))]  # fmt: skip
    as_given = [join(path, f[len(base) + 1 :]) if base else filesystem.unstrip_protocol(f)
                for f in names]  # fmt: skip
    return sorted((p.removeprefix("file://") for p in as_given), key=_by_number)


def _walk(folder: str) -> list[str]:
    """Return the files below a local folder, those behind links to folders as well, once each."""
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for here, inner, names in os.walk(folder, followlinks=True):
        about = os.stat(here)
        if (about.st_dev, about.st_ino) in seen:  # a link that leads back
            inner.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        inner.sort()
        found += [os.path.join(here, name) for name in names]
    return found


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _by_number(path: str) -> tuple[str, int, str]:
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return folder, int(stem) if stem.isdigit() else -1, name


def read_tar(path: str, rank: int, world: int) -> Iterator[tuple[int, str, dict[str, bytes]]]:
    """Yield every `world`-th sample of a WebDataset tar, beginning with the `rank`-th.

    The bytes of the others are passed over.

    Args:
        path: of the tar.
        rank: the first sample to yield.
        world: the step.

    Returns:
        Number, key and the files of each sample by suffix, in lower case. What plays the part of
        image, text or JSON also has the suffix that stands for all of that kind: jpg, txt, json.

    Raises:
        InputError: there is no such file, or it is no tar, cut off, or lacks promised samples.
    """
    with open_tar(path) as source:
        members = scan(source)
        if members.problem is not None:
            raise InputError(
                f"{path}: not a whole tar ({members.problem}). A figure over a part of the set "
                "would mislead; get the file again."
            )
        samples = find_samples(members)
        if (promised := promised_samples(path)) is not None and promised > len(samples):
            raise InputError(
                f"{path}: {len(samples)} samples, but what stands beside it promises {promised}; "
                "get the file again"
            )
        for number in range(rank, len(samples), world):
            if samples.is_unclear[number]:
                raise InputError(f"{path}: {samples.problem(source, number)}")
            yield number, samples.key(source, number), _contents(source, samples, number)


def _contents(source: TarBytes, samples: TarSamples, number: int) -> dict[str, bytes]:
    files = {
        suffix: source.read(*samples.place(member))
        for suffix, member in samples.suffixes(source, number)
    }
    roles = (("jpg", samples.image), ("txt", samples.text), ("json", samples.json))
    for suffix, chosen in roles:
        if suffix not in files and chosen[number] >= 0:
            files[suffix] = source.read(*samples.place(int(chosen[number])))
    return files
