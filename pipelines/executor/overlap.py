"""An iterator that works ahead in a thread, so that reading and writing overlap computing."""

import queue
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

from curate.files.remedies import carried

__all__ = ["StoppedError", "ahead", "stop_with"]

Item = TypeVar("Item")

_WAIT_S = 0.1
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class StoppedError(Exception):
    """The run that a part belongs to is over, and nobody waits for the part."""


def stop_with(event: threading.Event) -> None:
    """Have whatever this thread reads ahead end soon after an event is set."""
    _stop.set(event)


class _End:
    """What follows the last item: the error that ended the work, or none."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[Item], depth: int = 2) -> Iterator[Item]:
    """Yield the items of an iterator that is run in a thread of its own.

    Args:
        items: whatever it does, it does in that thread; closed there when the consumer stops.
        depth: items that may wait to be taken; bounds the memory.

    Raises:
        StoppedError: the event of `stop_with` is set.
        Exception: whatever the iterator raised, after the items before it.
    """
    run_is_over = _stop.get()
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    is_stopped = threading.Event()
    worker = threading.Thread(target=carried(_fill), args=(items, waiting, is_stopped), daemon=True)
    worker.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            if run_is_over is not None and run_is_over.is_set():
                raise StoppedError
            yield item
        if item.error is not None:
            raise item.error
    finally:
        is_stopped.set()
        worker.join()


def _fill(
    items: Iterator[Item], waiting: "queue.Queue[Item | _End]", is_stopped: threading.Event
) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(waiting, item, is_stopped):
                break
    except BaseException as raised:  # handed on to the consumer, who raises it
        error = raised
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    _put(waiting, _End(error), is_stopped)


def _put(
    waiting: "queue.Queue[Item | _End]", item: "Item | _End", is_stopped: threading.Event
) -> bool:
    """Put an item as soon as there is room; tell whether the consumer still wants it."""
    while not is_stopped.is_set():
        try:
            waiting.put(item, timeout=_WAIT_S)
        except queue.Full:
            continue
        return True
    return False
