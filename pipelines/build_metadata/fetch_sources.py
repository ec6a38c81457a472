"""Sources that are not at hand: what of them is needed, and fetching it.

What a server says of a dump is written down beside it (`<wiki>-<day>.dump.json`) before the first
file comes, so a run that goes on fetches what the first run would have, even if there is a newer
dump by then.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from curate.errors import InputError, NotFoundError
from curate.files import storage
from curate.metadata.fetch.download import CONNECTIONS_PER_HOST, Fetcher
from curate.metadata.fetch.notes import NOTE_SUFFIX, read_source
from curate.metadata.wikipedia.wikimedia import find_dump, read_dump, written_down
from curate.pipelines.build_metadata.find_sources import (
    SourceFile,
    SourceOptions,
    local,
    own_dumps,
    require_local,
)
from curate.pipelines.build_metadata.prefetch import ByteBar

__all__ = ["Sources", "WikiSources"]

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class WikiSources:
    """Where the articles of a wiki are.

    Attributes:
        wiki: code of the Wikipedia.
        files: here or to be fetched; none if there is no dump.
        problem: why there are none, where a server was asked.
        is_absent: whether that is because the server does not have the wiki.
    """

    wiki: str
    files: tuple[SourceFile, ...] = ()
    problem: str | None = None
    is_absent: bool = False


class Sources:
    """The sources of one run: asks the server, and fetches; to be closed.

    Args:
        dumps: folder of dumps.
        options: where from.
        write: whether to write down what the server says.
    """

    def __init__(self, dumps: str, options: SourceOptions, *, write: bool = True) -> None:
        self.options = options
        self.dumps = dumps
        self.write = write
        self._own = own_dumps(dumps, options.day)
        self._written_down = (
            written_down(local(dumps), options.day) if storage.is_local(dumps) else frozenset()
        )
        self._bar: ByteBar | None = None
        self.fetcher = (
            Fetcher(contact=options.contact, retries=options.retries, on_bytes=self._came)
            if options.mirror is not None
            else None
        )

    def close(self) -> None:
        """Stop what is under way and close the connections."""
        if self._bar is not None:
            self._bar.close()
        if self.fetcher is not None:
            self.fetcher.close()

    @property
    def known_wikis(self) -> frozenset[str]:
        """The wikis of dumps that somebody put there, or that are written down."""
        return frozenset(self._own) | self._written_down

    def show(self, num_bytes: int, label: str, *, quiet: bool) -> None:
        """Show from now on how many of so many bytes have come."""
        if self._bar is not None:
            self._bar.close()
        self._bar = ByteBar(num_bytes, label, quiet=quiet)

    def _came(self, num_bytes: int) -> None:
        if self._bar is not None:
            self._bar.add(num_bytes)

    def of_wikis(self, codes: Sequence[str]) -> dict[str, WikiSources]:
        """Find the dumps of wikis: own ones, then those written down, then those of the server.

        What is wrong with one wiki is said in it and does not keep the others back.
        """
        return {found.wiki: found for found in self.in_threads(self._of_wiki, codes)}

    def _of_wiki(self, wiki: str) -> WikiSources:
        own = self._own.get(wiki, []) if self.options.dump_date != "latest" else []
        if own:
            return WikiSources(wiki=wiki, files=tuple(SourceFile(path=path) for path in own))
        try:
            return WikiSources(wiki=wiki, files=self._fetchable(wiki))
        except NotFoundError as error:
            return WikiSources(wiki=wiki, problem=str(error), is_absent=True)
        except InputError as error:
            return WikiSources(wiki=wiki, problem=str(error))

    def _fetchable(self, wiki: str) -> tuple[SourceFile, ...]:
        """Return the files of a dump that was written down, or else of one that the server has."""
        options, dump = self.options, None
        if storage.is_local(self.dumps) and options.dump_date != "latest":
            dump = read_dump(local(self.dumps), wiki, options.day)
        if dump is None:
            if self.fetcher is None or options.mirror is None:
                return ()
            folder = require_local(self.dumps, "--dumps")
            dump = find_dump(self.fetcher, options.mirror, wiki, options.dump_date or "latest")
            if self.write:
                dump.write(folder)
        elif options.mirror is not None:
            dump = dump.at(options.mirror.rstrip("/"))
        return tuple(
            SourceFile(path=storage.join(self.dumps, file.name), remote=file) for file in dump.files
        )

    def fetch(self, file: SourceFile) -> None:
        """Fetch a file if it is not here.

        Raises:
            InputError: it could not be had; or it is not here and nothing is to be fetched.
            DiskSpaceError: the disk is full.
        """
        if file.is_here and not _is_changed(file):
            return
        if file.remote is None or self.fetcher is None:
            raise InputError(
                f"{file.path}: not here, and nothing is fetched. Put it there, or name the server "
                "that it can be fetched from with --mirror."
            )
        storage.remove(file.path)
        self.fetcher.download(file.remote, local(file.path).parent)

    def in_threads(self, ask: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        """Ask the server of every item, as many at a time as there may be connections."""
        if self.fetcher is None:
            return [ask(item) for item in items]
        with ThreadPoolExecutor(CONNECTIONS_PER_HOST) as pool:
            try:
                return list(pool.map(ask, items))
            except BaseException:
                self.fetcher.stop()
                pool.shutdown(cancel_futures=True)
                raise


def _is_changed(file: SourceFile) -> bool:
    """Tell whether a file that was fetched is another than it was.

    Its note is written when all of it is here, so a later file was edited, or copied: only then is
    it worth reading.
    """
    path = local(file.path)
    source = read_source(path) if storage.is_local(file.path) else None
    if source is None:
        return False
    if path.stat().st_size != source.size_bytes:
        return True
    note = path.with_name(path.name + NOTE_SUFFIX)
    is_later = path.stat().st_mtime_ns > note.stat().st_mtime_ns
    return is_later and storage.file_sha256(file.path) != source.sha256
