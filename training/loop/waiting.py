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

__all__ = ["done_by_main"]

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
