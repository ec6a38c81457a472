"""Whether anything below a workspace holds a pair still: file by file, row by row."""

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.curation.hashing.ids import short_hash
from curate.errors import ArtifactError
from curate.files import storage
from curate.files.parquet.one_thread import open_unsealed
from curate.files.remedies import suggest
from curate.pipelines.balance import UID_DTYPE, parse_uids
from curate.pipelines.matched.notes import noted_balanced, same_folder
from curate.pipelines.matched.tombstones import FILE as TOMBSTONES
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.shards.runs import Run
from curate.pipelines.shards.waiting import unpacked
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import CARD

__all__ = ["Wanted", "find_held", "places_of", "require_gone", "stale_cards"]

# What holds no pairs: downloaded sources, entries, leases and logs.
_LEFT_OUT = ("sources", "metadata", ".curate")
_JSON = re.compile(r"\.json(l?)(\.gz|\.zst|\.bz2|\.xz)?$")
_UID = re.compile("[0-9a-fA-F]{32}")
_SHOWN, _MOST_SHOWN = 5, 20
_IDS = ("pair_id", "uid", "key", "uuid", "id", "url", "URL", "image_url")


@dataclass(slots=True)
class Wanted:
    """Names that are looked for: each may be the id of a pair or the URL of an image.

    Attributes:
        names: as they were given.
    """

    names: list[str]
    _known: set[str] = field(init=False)
    _by_image: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Hash what could be URLs."""
        self._known = set(self.names)
        self._by_image = {short_hash(name): name for name in self.names}

    @property
    def tombstones(self) -> Tombstones:
        """The names as ids of pairs and of images."""
        strings = artifacts.strings
        return Tombstones() | Tombstones(strings(self.names), strings(self._by_image))

    def among(self, values: Any) -> set[str]:
        """Return the names that are among some values: ids, URLs, or hashes of URLs."""
        found = {value for value in values if isinstance(value, str)}
        hit = found & self._known
        return hit | {self._by_image[value] for value in found & self._by_image.keys()}


def find_held(root: str, wanted: Wanted) -> dict[str, set[str]]:
    """Return the files of a workspace, or of any folder, that hold wanted pairs, and which.

    Raises:
        ArtifactError: a file cannot be read to its end, so that nobody knows.
    """
    held: dict[str, set[str]] = {}
    for path in _files(root):
        try:
            if names := _held_by(path, wanted):
                held[path] = names
        except (pa.ArrowException, tarfile.TarError, OSError, ValueError) as error:
            raise ArtifactError(
                f"{path}: cannot be read ({error}), so that nobody knows what it holds. Remove it "
                "or make it anew, and check again."
            ) from error
    return held


def stale_cards(places: Iterable[str]) -> list[str]:
    """Return the data cards below some folders that are of matches which are in none of them.

    Their examples may show texts of pairs that were taken out since.
    """
    current, cards = set(), []
    for path in (path for place in places for path in _files(place)):
        name = os.path.basename(path)
        if name == "plan.json" and "parts" in (plan := artifacts.read_json(path)):
            state = {
                k: plan[k] for k in ("parameters", "parts", "retracted", "dropped") if k in plan
            }
            current.add(artifacts.digest(state))
        elif name == CARD:
            cards.append((path, artifacts.read_json(path)["matched"]))
    return [path for path, matched in cards if matched not in current]


def _files(root: str) -> list[str]:
    if not storage.is_folder(root):
        return []
    filesystem, inside = storage.filesystem_of(root)
    names = (str(path)[len(inside.rstrip("/")) + 1 :] for path in filesystem.find(inside))
    return sorted(
        storage.join(root, name) for name in names
        if name.split("/")[0] not in _LEFT_OUT and ".curate" not in name.split("/")
    )  # fmt: skip


def _held_by(path: str, wanted: Wanted) -> set[str]:
    name = os.path.basename(path)
    if name.endswith(".parquet") and name != TOMBSTONES:
        return _in_parquet(path, wanted)
    if name.endswith(".tar"):
        return _in_tar(path, wanted)
    if name.endswith(".run"):
        return _in_run(path, wanted)
    if name.endswith(".npy"):
        return _in_uid_file(path, wanted)
    if (suffix := _JSON.search(name)) is not None:
        with storage.open_read(path, decompress=True) as file:
            content = file.read()
        lines = content.splitlines() if suffix[1] else [content]
        return wanted.among(text for line in lines for text in _strings(json.loads(line)))
    return set()


def _in_parquet(path: str, wanted: Wanted) -> set[str]:
    found: set[str] = set()
    with open_unsealed(path) as file:
        names = [n for n in file.schema_arrow.names if n in (*_IDS, "image_id", "text", "detail")]
        is_extracted = "text" in names and "pair_id" not in names and "detail" not in names
        for batch in file.iter_batches(columns=names):
            for name in (n for n in names if n not in ("text", "detail")):
                found |= wanted.among(pc.unique(batch.column(name)).to_pylist())
            if is_extracted and not found >= set(wanted.names):
                ids = wanted.tombstones.ids_of_rows(batch, path)
                found |= wanted.among(value for pair in ids for value in pair)
    return found


def _in_uid_file(path: str, wanted: Wanted) -> set[str]:
    """Look into a subset as DataComp takes it, which `balance --uids` writes."""
    names = [name for name in wanted.names if _UID.fullmatch(name)]
    if not names:
        return set()
    asked, found = parse_uids(pa.array(names)), np.zeros(len(names), np.bool_)
    with storage.open_read(path) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0) or read_header(file)[2] != UID_DTYPE:
            return set()  # of something else
        while content := file.read(UID_DTYPE.itemsize << 20):
            found |= np.isin(asked, np.frombuffer(content, UID_DTYPE))
    return {name for name, there in zip(names, found, strict=True) if there}


def _in_tar(path: str, wanted: Wanted) -> set[str]:
    found: set[str] = set()
    with storage.open_read(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            stem, _, suffix = member.name.rpartition(".")
            found |= wanted.among([stem])
            if suffix == "json" and (content := tar.extractfile(member)) is not None:
                found |= wanted.among(_strings(json.loads(content.read())))
    return found


def _in_run(path: str, wanted: Wanted) -> set[str]:
    """Look into pairs that wait for their shards; `balance` was stopped before it wrote them."""
    found: set[str] = set()
    for _, piece in Run(path).between(0.0, 1.0):
        sample, content = unpacked(piece)
        about = json.loads(sample.members(content)["json"])
        found |= wanted.among([sample.pair_id, *_strings(about)])
    return found


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def places_of(matched: str, balanced: Sequence[str], workspace: str | None) -> list[str]:
    """Return the folders that nothing may be left in: sets that were made elsewhere, too."""
    places = [workspace] if workspace is not None else []
    for folder in (matched, *balanced, *noted_balanced(matched)):
        if not any(same_folder(folder, one) or _is_below(folder, one) for one in places):
            places.append(folder)
    return places


def _is_below(folder: str, place: str) -> bool:
    if storage.is_local(folder) and storage.is_local(place):
        above = os.path.realpath(storage.local_path(place))
        return os.path.realpath(storage.local_path(folder)).startswith(f"{above}{os.sep}")
    return folder.startswith(f"{place.rstrip('/')}/")


def require_gone(
    places: Sequence[str], wanted: Wanted, result: dict[str, Any], listing: str
) -> None:
    """Look whether anything holds what was asked for still.

    Raises:
        ArtifactError: something does; the message says what became of each that was asked for.
    """
    held: dict[str, set[str]] = {}
    for place in places:
        held |= find_held(place, wanted)
    stale = stale_cards(places)
    if not held and not stale:
        return
    failed = set[str]().union(*held.values())
    sums = f"{len(failed)} of {result['asked']} asked for are still there"
    if "removed" in result:
        sums = (
            f"of {result['asked']} asked for {result['asked'] - len(failed) - result['missing']} "
            f"are out, {result['missing']} were not there, {len(failed)} failed"
        )
    where = [f"{path} holds {len(names)}: {_few(sorted(names))}" for path, names in held.items()]
    where += [f"{path} is of earlier matches and may show their texts" for path in stale]
    more = len(where) - _MOST_SHOWN
    lines = [*where[:_MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    raise ArtifactError(
        f"{listing}: {sums}:\n  " + "\n  ".join(lines) + "\nMake these anew or remove them "
        "(a balanced set that is named with --balanced is made anew if its plan.json is there), "
        f"then run: {suggest('retract', '--check')}"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
