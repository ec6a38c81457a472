"""Work of rank 0 that may take long: the other ranks wait for it at the store, and say so.

A collective operation gives up after its group's limit (30 minutes), whatever goes on elsewhere:
reading what stands beside 40,000 shards on a slow file system would end a run. Here nobody is in a
collective. Rank 0 works, and a thread of it counts up beside the work; the others look now and
then, and give up when the count stands still, which it does when that process is gone.
"""

import itertools
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch.distributed as dist

from curate.errors import CurateError
from curate.training.loop.distributed import World

__all__ = ["Parts", "done_by_main"]

Result = TypeVar("Result")

BEAT_S = 5.0
LOOK_S = 0.2
TELL_S = 60.0
SILENT_S = 600.0
_numbers = itertools.count()


def done_by_main(
    work: Callable[[], Result],
    world: World,
    what: str,
    tell: Callable[[str], object] = lambda _: None,
) -> Result:
    """Let rank 0 do something, however long it takes, and return its result on every rank.

    Args:
        work: called on rank 0; its result can be pickled.
        world: the ranks; every one of them has to call this, in the same order.
        what: goes on meanwhile, for the messages of those who wait.
        tell: shows a message.

    Raises:
        CurateError: what the work raised, on every rank; or rank 0 gave no sign of life for ten
            minutes.
    """
    if world.size == 1:
        return work()
    key, store = f"curate/{next(_numbers)}", dist.distributed_c10d._get_default_store()
    if not world.is_main:
        told: Result = _result(_wait(store, key, what, tell))
        return told
    with _beating(store, key):
        try:
            result = work()
        except BaseException as error:
            store.set(key, pickle.dumps((False, _as_ours(error))))  # type: ignore[arg-type]
            raise
    store.set(key, pickle.dumps((True, result)))  # type: ignore[arg-type]
    return result


def _as_ours(error: BaseException) -> CurateError:
    if isinstance(error, CurateError):
        return error
    return CurateError(f"rank 0 ended with {type(error).__name__}: {error}")


def _result(found: bytes) -> Any:
    is_done, value = pickle.loads(found)  # written by rank 0 of the same run
    if not is_done:
        raise value
    return value


@contextmanager
def _beating(store: Any, key: str) -> Iterator[None]:
    """Count up in the store within the block."""
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(BEAT_S):
            store.add(f"{key}/beats", 1)

    thread = threading.Thread(target=beat, daemon=True, name="beat")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _wait(store: Any, key: str, what: str, tell: Callable[[str], object]) -> bytes:
    begun = heard = told = time.monotonic()
    beats = 0
    while not store.check([key]):
        time.sleep(LOOK_S)
        now = time.monotonic()
        if now - told >= TELL_S:
            told = now
            tell(f"waiting for rank 0, which {what}, for {(now - begun) / 60:.0f} minutes")
        if now - heard >= BEAT_S:
            found = store.add(f"{key}/beats", 0)
            if found != beats:
                beats, heard = found, now
            elif now - heard >= SILENT_S:
                raise CurateError(
                    f"rank 0 gave no sign of life for {SILENT_S / 60:.0f} minutes while it {what}. "
                    "Look at its log and its disk, and run the same command again to go on."
                )
    content: bytes = store.get(key)
    return content


class Parts:
    """What the ranks write side by side, in threads: rank 0 hears what became of each part.

    In a store, not in a collective: training goes on meanwhile. All ranks make these in one order,
    so that several at a time, or one after the other, do not hear of each other's.

    Args:
        world: the ranks.
        what: is written, for messages.
    """

    def __init__(self, world: World, what: str) -> None:
        self._world, self._what = world, what
        self._key, self._number = next(_numbers), 0

    def begin(self) -> int:
        """Return the number of what is written next, the same on every rank."""
        self._number += 1
        return self._number

    def _name(self, number: int, rank: int) -> str:
        return f"curate/parts/{self._key}/{number}/{rank}"

    def tell(self, number: int, found: Any) -> None:
        """Tell rank 0 what became of this rank's part: a value, or an error."""
        store = dist.distributed_c10d._get_default_store()
        value = found if not isinstance(found, BaseException) else _as_ours(found)
        is_done = not isinstance(found, BaseException)
        store.set(self._name(number, self._world.rank), pickle.dumps((is_done, value)))  # type: ignore[arg-type]

    def hear(self, number: int) -> list[Any]:
        """Wait on rank 0 for the parts of all others; return their values in order.

        Raises:
            CurateError: a part could not be written, or a rank has not told for ten minutes.
        """
        store = dist.distributed_c10d._get_default_store()
        names = [self._name(number, rank) for rank in range(1, self._world.size)]
        begun = time.monotonic()
        while not store.check(names):
            time.sleep(LOOK_S)
            if time.monotonic() - begun > SILENT_S:
                raise CurateError(
                    f"not all ranks have written their part of {self._what} after "
                    f"{SILENT_S / 60:.0f} minutes. Run the same command again to go on."
                )
        return [_result(store.get(name)) for name in names]
