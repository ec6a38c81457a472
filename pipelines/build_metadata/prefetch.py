"""Work ahead on the network while processors are busy, and show the bytes as they come."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar, overload

from curate.files.sizes import in_words
from curate.metadata.fetch.download import CONNECTIONS_PER_HOST, Fetcher
from curate.pipelines.views.progress import bar, log

__all__ = ["ByteBar", "Prefetched", "in_words"]

Plan = TypeVar("Plan")
Task = TypeVar("Task")

# Plans that are made ready beyond those that were taken: what an idle worker finds waiting.
AHEAD = 2
_SECONDS_BETWEEN_LINES = 30.0


class Prefetched(Sequence[Task], Generic[Plan, Task]):
    """Tasks, each made ready by downloads that begin shortly before it is asked for.

    Iterating gives them in order. Two plans are worked on at once, and no more than two are ready
    and not yet taken, so that downloads that are dropped after use need room for a few tasks and
    not for all.

    Args:
        plans: what is to be done.
        prepare: makes a task of a plan; called in threads.
        fetcher: what `prepare` downloads with; stopped if the work ends early.
    """

    def __init__(
        self, plans: Sequence[Plan], prepare: Callable[[Plan], Task], fetcher: Fetcher | None
    ) -> None:
        self._plans = plans
        self._prepare = prepare
        self._fetcher = fetcher

    def __len__(self) -> int:
        return len(self._plans)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
        if isinstance(index, slice):
            return Prefetched(self._plans[index], self._prepare, self._fetcher)
        return self._prepare(self._plans[index])

    def __iter__(self) -> Iterator[Task]:
        waiting = iter(self._plans)
        ready: deque[Future[Task]] = deque()
        is_done = False
        pool = ThreadPoolExecutor(CONNECTIONS_PER_HOST)
        try:
            while True:
                for plan in waiting:
                    ready.append(pool.submit(self._prepare, plan))
                    if len(ready) >= AHEAD:
                        break
                if not ready:
                    break
                yield ready.popleft().result()
            is_done = True
        finally:
            if not is_done and self._fetcher is not None:
                self._fetcher.stop()
            pool.shutdown(wait=True, cancel_futures=True)


class ByteBar:
    """A bar with bytes on a terminal, else a line on stderr now and then; for many threads.

    Args:
        total: bytes to come, as far as servers say; nothing is shown if there are none.
        label: what comes.
        quiet: show nothing.
    """

    def __init__(self, total: int, label: str, *, quiet: bool) -> None:
        self._lock = threading.Lock()
        self._total, self._label, self._done = total, label, 0
        self._quiet = quiet or not total
        self._last = time.monotonic()
        self._bar = bar(  # below the bar of what is made of the files
            quiet=self._quiet, total=total, desc=label, unit="B", unit_scale=True, position=1,
            leave=False,
        )  # fmt: skip

    def add(self, num_bytes: int) -> None:
        """Show that bytes have come."""
        with self._lock:
            self._done += num_bytes
            if self._bar is not None:
                self._bar.update(num_bytes)
            elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
                self._last = time.monotonic()
                done, total = in_words(self._done), in_words(self._total)
                log(f"{self._label}: {done} of {total}", quiet=self._quiet)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
