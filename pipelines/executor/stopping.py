"""SIGTERM: a request that a loop looks at when it can stop, or an interrupt like Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

__all__ = ["StopRequest", "current_request", "interrupt_on_sigterm", "stop_on_sigterm"]


class StopRequest:
    """Tells whether somebody wants this process to end soon."""

    def __init__(self) -> None:
        self.is_made = False

    def make(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the end; also a signal handler."""
        self.is_made = True


_asked: ContextVar[StopRequest | None] = ContextVar("asked", default=None)


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """Within this, SIGTERM is a request that the block looks at, instead of the end.

    Only the main thread can take signals; in another one nobody asks.
    """
    request = StopRequest()
    token = _asked.set(request)
    try:
        with _on_sigterm(request.make):
            yield request
    finally:
        _asked.reset(token)


def current_request() -> StopRequest:
    """Return the request that long work looks at: that of `stop_on_sigterm` around it, or none."""
    return _asked.get() or StopRequest()


@contextmanager
def interrupt_on_sigterm() -> Iterator[StopRequest]:
    """Within this, SIGTERM does what Ctrl-C does on a terminal, here and in the worker processes.

    The request tells afterwards that it was SIGTERM.
    """
    request = StopRequest()

    def interrupt(_signal: int, frame: FrameType | None) -> None:
        request.make()
        multiprocessing = sys.modules.get("multiprocessing")  # there if there are workers
        for worker in multiprocessing.active_children() if multiprocessing else ():
            worker.terminate()
        on_interrupt = signal.getsignal(signal.SIGINT)  # that of an event loop, if one runs
        if callable(on_interrupt):
            on_interrupt(signal.SIGINT, frame)
        else:  # a shell starts what is in the background with interrupts ignored
            raise KeyboardInterrupt

    with _on_sigterm(interrupt):
        yield request


@contextmanager
def _on_sigterm(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
