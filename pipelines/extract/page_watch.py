"""A large page is parsed in a process that may be stopped.

How long a parser takes over a page and how much memory, nobody knows before, and compiled code
cannot be interrupted from Python. So a page of many elements or many bytes goes to a child process
with limits on its processor time and memory; a page below both bounds is parsed in place.
"""

import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from curate.errors import CurateError
from curate.files.processes import spawn_context
from curate.pipelines.extract.pages import BadPageError, PageOptions, PageRows, page_rows
from curate.pipelines.extract.records import CrawlRecord

__all__ = ["PageWatch"]

MAX_ELEMENTS_IN_PLACE = 10_000
MAX_BYTES_IN_PLACE = 512 << 10
_CHILD_BYTES = 6 << 30  # of address space: a page of 16 MiB takes about 1 GiB


Parse = Callable[[CrawlRecord, PageOptions], PageRows]


class PageWatch:
    """Turns pages into rows, the large ones in a child process that is started when needed.

    Args:
        options: what decides which pairs a page gives, and how long parsing may take.
        parse: a function of a module, since the child imports it by its name.
    """

    def __init__(self, options: PageOptions, parse: Parse = page_rows) -> None:
        self._options = options
        self._parse = parse
        self._child: BaseProcess | None = None
        self._connection: Connection | None = None

    def rows(self, record: CrawlRecord) -> PageRows:
        """Return the pairs of a page.

        Raises:
            BadPageError: it is no page, or the parser was stopped.
            CurateError: the child does not start, which is no fault of the page.
        """
        if record.is_wat or not is_large(record.body):
            return self._parse(record, self._options)
        connection = self._start()
        try:
            connection.send(record)
            found = connection.recv()
        except (EOFError, OSError):
            raise BadPageError(self._autopsy()) from None
        if isinstance(found, BadPageError):
            raise found
        assert isinstance(found, PageRows)
        return found

    def _start(self) -> Connection:
        if self._connection is None:
            context = spawn_context()
            ours, theirs = context.Pipe()
            arguments = (theirs, self._options, self._parse)
            self._child = context.Process(target=_serve, args=arguments, daemon=True)
            self._child.start()
            theirs.close()
            self._connection = ours
            try:
                ours.recv()  # that it is there
            except (EOFError, OSError):
                code = self._end()
                raise CurateError(
                    f"the process that parses large pages ended with exit code {code} before it "
                    "began; what it wrote to standard error says why. What is done is kept: run "
                    "the same command again once this is mended."
                ) from None
        return self._connection

    def _autopsy(self) -> str:
        """Return why the child has ended, and forget it; the next page gets another one."""
        return "page_too_slow" if self._end() == -signal.SIGXCPU else "parser_failed"

    def _end(self) -> int | None:
        """Forget a child that has ended; return its exit code."""
        assert self._child is not None
        self._child.join()
        code: int | None = self._child.exitcode
        self.close()
        return code

    def close(self) -> None:
        """End the child, if there is one."""
        if self._connection is not None:
            self._connection.close()  # which the child takes as its end
            self._connection = None
        if self._child is not None:
            self._child.join()
            self._child.close()
            self._child = None


def is_large(body: bytes) -> bool:
    """Tell whether a page is parsed in the child."""
    return len(body) > MAX_BYTES_IN_PLACE or body.count(b"<") > MAX_ELEMENTS_IN_PLACE


def _serve(connection: Connection, options: PageOptions, parse: Parse) -> None:
    """Answer every page with its rows until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's interrupt ends this by the pipe
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (_CHILD_BYTES, _CHILD_BYTES))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    connection.send(None)
    while True:
        try:
            record = connection.recv()
        except (EOFError, OSError):
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + 1 + options.page_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
        try:
            answer: PageRows | BadPageError = parse(record, options)
        except BadPageError as error:
            answer = error
        except MemoryError:
            answer = BadPageError("parser_failed")
        connection.send(answer)
