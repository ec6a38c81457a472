"""Sources that are not at hand: what of them is needed, and fetching it.

What a server says of a dump is written down beside it (`<wiki>-<day>.export.json`; `….dump.json` of
a legacy dump) before the first file comes, so a run that goes on fetches what the first run would
have, even if there is a newer dump by then.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from curate.errors import FetchError, InputError, NotFoundError
from curate.files import storage
from curate.metadata.fetch.download import CONNECTIONS_PER_HOST, Fetcher
from curate.metadata.fetch.notes import NOTE_SUFFIX, read_source
from curate.metadata.languages import is_new_wikipedia
from curate.metadata.wikipedia.dump_list import Dump, read_dump, written_down
from curate.metadata.wikipedia.exports import SUMS, listed_wikis
from curate.metadata.wikipedia.wikimedia import find_dump
from curate.pipelines.build_metadata.find_sources import (
    SourceFile,
    SourceOptions,
    identity,
    local,
    require_local,
)
from curate.pipelines.build_metadata.own_dumps import own_dumps, own_files_of
from curate.pipelines.build_metadata.prefetch import ByteBar

__all__ = ["Sources", "WikiSources"]

# Wikis that are asked for one by one rather than listed.
_FEW = 8
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
        said: why these files and not others, in words for people.
    """

    wiki: str
    files: tuple[SourceFile, ...] = ()
    problem: str | None = None
    is_absent: bool = False
    said: tuple[str, ...] = ()


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
        self._own = own_dumps(dumps, options.day, options.dumps_layout)
        self._written_down = (
            written_down(local(dumps), options.day, options.dumps_layout)
            if storage.is_local(dumps)
            else frozenset()
        )
        self._bar: ByteBar | None = None
        self._exported: frozenset[str] | None = None
        self._problem: str | None = None  # of the last wiki that could not be asked for
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

        What is wrong with one wiki is said in it and does not keep the others back. Where there are
        many, the server is asked once of which it has exports.
        """
        if len(codes) > _FEW and self._asks and self.options.dumps_layout != "legacy":
            self._list()
        return {found.wiki: found for found in self.in_threads(self._of_wiki, codes)}

    def _of_wiki(self, wiki: str) -> WikiSources:
        own = self._own.get(wiki, []) if self.options.dump_date != "latest" else []
        if not own and self._is_down():
            return WikiSources(wiki=wiki, problem=self._problem)
        try:
            if own:
                return WikiSources(wiki=wiki, files=own_files_of(own))
            return self._fetchable(wiki)
        except NotFoundError as error:
            return WikiSources(wiki=wiki, problem=str(error), is_absent=True)
        except InputError as error:
            self._problem = str(error)
            return WikiSources(wiki=wiki, problem=self._problem)

    def _is_down(self) -> bool:
        """Tell a run that only looks that the server was given up again and again."""
        if self.fetcher is None or self._problem is None or self.write:
            return False
        return self.fetcher.is_down(self.options.mirror or "")

    def _fetchable(self, wiki: str) -> WikiSources:
        """Return the files of a dump that was written down, or else of one that the server has."""
        options, dump = self.options, None
        if storage.is_local(self.dumps) and options.dump_date != "latest":
            dump = read_dump(local(self.dumps), wiki, options.day, options.dumps_layout)
        if dump is None:
            if self.fetcher is None or options.mirror is None:
                return WikiSources(wiki=wiki)
            folder = require_local(self.dumps, "--dumps")
            dump = self._find(self.fetcher, options.mirror, wiki)
            if self.write:
                dump.write(folder)
        elif options.mirror is not None:
            dump = dump.at(options.mirror.rstrip("/"))
        files = tuple(
            SourceFile(path=storage.join(self.dumps, file.name), remote=file) for file in dump.files
        )
        return WikiSources(wiki=wiki, files=files, said=dump.said)

    def _find(self, fetcher: Fetcher, mirror: str, wiki: str) -> Dump:
        """Ask the server for a dump; not for an export that it does not list."""
        day, layout = self.options.day or "latest", self.options.dumps_layout
        if layout != "auto" or self._exported is None or wiki in self._exported:
            return find_dump(fetcher, mirror, wiki, day, layout)
        dump = find_dump(fetcher, mirror, wiki, day, "legacy")
        said = f"the server lists no export of {wiki}; the legacy dump of {dump.date} is taken"
        return replace(dump, said=(said,))

    @property
    def _asks(self) -> bool:
        """Whether a server is asked for dumps."""
        return self.fetcher is not None and self.options.corpus == "dumps"

    def _list(self) -> frozenset[str]:
        """Return what the server has exports of, asking it once; nothing if it cannot be asked.

        A server that fails does so for each wiki as well, which says it.
        """
        if self._exported is None and self.fetcher is not None:
            try:
                self._exported = listed_wikis(self.fetcher, self.options.mirror or "")
            except FetchError:
                return frozenset()
        return self._exported or frozenset()

    def wikis_beyond(self) -> tuple[str, ...]:
        """Return the codes of Wikipedias that the server has and the table of languages has not."""
        found = self._list() if self._asks else frozenset()
        return tuple(sorted(code for code in found if is_new_wikipedia(code)))

    def fetch(self, file: SourceFile) -> None:
        """Fetch a file if it is not here.

        Raises:
            InputError: it could not be had; or it is not here and nothing is to be fetched.
            DiskSpaceError: the disk is full.
        """
        if file.is_here and not _is_changed(file):
            _require_sum(file)
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


def _require_sum(file: SourceFile) -> None:
    """Refuse a file of somebody's own that is not what the sums beside it say."""
    got = (identity(file) or {}).get("sha256") if file.sha256 is not None else None
    if got != file.sha256:
        raise InputError(
            f"{file.path}: sha256 {got} where {SUMS} lists {file.sha256}. Download it again."
        )


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
