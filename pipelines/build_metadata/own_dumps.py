"""Dumps that somebody put into a folder: of either layout, known by their names.

The folder may hold the files themselves, or folders as a server has them (`enwiki/20260101/`,
`enwiki/2026-08-01/xml/bzip2/`), or folders of Parquet files (`20231101.en`). Where the sums of an
export lie beside its parts (`SHA256SUMS`), they say which parts there are and what is in them.
"""

import re
from collections.abc import Sequence

from curate.errors import InputError
from curate.files import storage
from curate.metadata.wikipedia.dump_names import Layout, choose_dumps, dump_name, wiki_of_database
from curate.metadata.wikipedia.export_parts import page_spans
from curate.metadata.wikipedia.exports import SUMS, read_sums, wrong_parts
from curate.pipelines.build_metadata.find_sources import (
    FOLDER_NAME,
    SourceFile,
    base_name,
    files_of,
    is_fetched,
)

__all__ = ["own_dumps", "own_files_of"]

_DATABASE = re.compile(r"[a-z_]+wiki$")
_DAYS = re.compile(r"(?:\d{8}|\d{4}-\d{2}-\d{2})$")


def own_dumps(folder: str, day: str | None = None, layout: Layout = "auto") -> dict[str, list[str]]:
    """Return the dumps that somebody put into a folder, by wiki, every article once.

    Args:
        folder: of dumps, as a server has them or not; or one dump.
        day: of the dumps; None for the newest of each wiki.
        layout: ``exports`` or ``legacy`` for nothing else; Parquet files count as legacy.
    """
    by_wiki: dict[str, list[str]] = {}
    for path in _all_files(folder):
        found = dump_name(base_name(path))
        if found is not None and not found.api and not is_fetched(path):
            by_wiki.setdefault(found.wiki, []).append(path)
    chosen = {wiki: _chosen(paths, day, layout) for wiki, paths in by_wiki.items()}
    tables = _parquet_folders(folder, day) if layout != "exports" else {}
    for wiki, paths in tables.items():
        chosen[wiki] = chosen.get(wiki) or paths
    return {wiki: paths for wiki, paths in chosen.items() if paths}


def _all_files(folder: str) -> list[str]:
    """Return the files of a folder and of the folders of dumps in it."""
    found = []
    for path in files_of(folder):
        found.append(path)
        if not _DATABASE.match(base_name(path)):
            continue
        for day in storage.list_files(path, ""):
            if _DAYS.match(base_name(day)):
                inside = storage.join(day, "xml/bzip2") if "-" in base_name(day) else day
                found += storage.list_files(inside, "")
    return found


def _chosen(paths: list[str], day: str | None, layout: Layout) -> list[str]:
    by_name = {base_name(path): path for path in paths}
    return [by_name[name] for name in choose_dumps(by_name, day, layout)]


def _parquet_folders(folder: str, day: str | None) -> dict[str, list[str]]:
    """Return the files of the newest folder of each wiki, or of the day's."""
    found: dict[str, list[str]] = {}
    for path in storage.list_files(folder, ""):
        match = FOLDER_NAME.match(base_name(path))
        if match and day in (None, match["date"]):
            files = storage.list_files(path, ".parquet")
            if files:
                database = match["project"].replace("-", "_") + "wiki"
                # Listed by day: the newest is the last.
                found[wiki_of_database(database) or match["project"]] = files
    return found


def own_files_of(paths: Sequence[str]) -> tuple[SourceFile, ...]:
    """Return the files of a wiki's own dump, with what their sums say.

    Args:
        paths: of `own_dumps`.

    Raises:
        InputError: an export of which a part is missing, or is of another making.
    """
    page_spans(paths)  # that no parts overlap
    first = dump_name(base_name(paths[0]))
    folder = paths[0].rpartition("/")[0] or "."
    beside = storage.join(folder, SUMS)
    if first is None or first.layout != "exports" or not storage.exists(beside):
        return tuple(SourceFile(path=path) for path in paths)
    # One folder may hold the exports of several wikis, and sums of all of them.
    start = f"{base_name(paths[0]).partition('-')[0]}-{first.date[:4]}-{first.date[4:6]}-"
    listed = read_sums(storage.read_text(beside))
    sums = {name: value for name, value in listed.items() if name.startswith(start)}
    there = (base_name(path) for path in storage.list_files(folder, ""))
    there = (name for name in there if name.startswith(start))
    problem = wrong_parts(there, sums, first.wiki, first.date) if sums else None
    if problem is not None:
        raise InputError(f"{beside}: the export {problem}. Fetch its parts again.")
    return tuple(SourceFile(path=path, sha256=sums.get(base_name(path))) for path in paths)
