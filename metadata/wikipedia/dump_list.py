"""The files of a dump as a server lists them, written down for runs that go on."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from curate.metadata.fetch.notes import RemoteFile, publish_json, read_note, remote_file
from curate.metadata.wikipedia.dump_names import Layout, database_name, dump_name

__all__ = ["Dump", "read_dump", "written_down"]

# Two dumps of one day may be there, one of each layout. The order is the one of preference.
_SUFFIXES: dict[Layout, str] = {"exports": ".export.json", "legacy": ".dump.json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The files that hold every article of a wiki once, as listed by a server.

    Attributes:
        mirror: address of the server.
        wiki: code of the Wikipedia.
        date: day of the dump, ``20260101``.
        job: of dumpstatus.json, that the files are of; of an export its name.
        files: in the order of their pages.
        layout: ``exports`` or ``legacy``.
        said: why this one and not another, in words for people.
    """

    mirror: str
    wiki: str
    date: str
    job: str
    files: tuple[RemoteFile, ...]
    layout: Layout = "legacy"
    said: tuple[str, ...] = ()

    def at(self, mirror: str) -> "Dump":
        """Return the same files on another server."""
        files = tuple(file.at(self.mirror, mirror) for file in self.files)
        return replace(self, mirror=mirror, files=files)

    def write(self, folder: Path) -> None:
        """Write down what was found, so that a run that goes on fetches the same files."""
        name = f"{database_name(self.wiki)}-{self.date}{_SUFFIXES[self.layout]}"
        publish_json(folder / name, asdict(self))


def read_dump(
    folder: Path, wiki: str, day: str | None = None, layout: Layout = "auto"
) -> Dump | None:
    """Read what an earlier run wrote down of a wiki's dump.

    Args:
        folder: where the dumps are.
        wiki: code of the Wikipedia.
        day: ``20260101``; None for the newest.
        layout: ``auto`` for exports before legacy dumps.

    Returns:
        None if nothing was written down.

    Raises:
        InputError: the file is damaged.
    """
    for name, suffix in _SUFFIXES.items():
        found = sorted(folder.glob(f"{database_name(wiki)}-{day or '*'}{suffix}"))
        if found and layout in ("auto", name):
            return _read(found[-1])
    return None


def _read(path: Path) -> Dump:
    what = "the list of a dump's files"
    return read_note(path, _dump_of, what, "Remove it; it is made again.")


def _dump_of(values: Any) -> Dump:
    files = tuple(remote_file(file) for file in values.pop("files"))
    said = tuple(map(str, values.pop("said", ())))
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError("a value is no text")
    return Dump(**values, files=files, said=said)


def written_down(folder: Path, day: str | None = None, layout: Layout = "auto") -> frozenset[str]:
    """Return the wikis that something was written down of, of a day or of any."""
    names = (
        path.name.removesuffix(suffix)
        for of, suffix in _SUFFIXES.items()
        if layout in ("auto", of)
        for path in folder.glob(f"*-{day or '*'}{suffix}")
    )
    read = (dump_name(f"{name}.parquet") for name in names)
    return frozenset(found.wiki for found in read if found is not None)
