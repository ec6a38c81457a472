"""A request to stop that comes from outside, as a flag that a loop looks at when it can stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "stop_on_sigterm"]


class StopRequest:
    """Tells whether somebody wants this process to end soon."""

    def __init__(self) -> None:
        self.is_made = False

    def make(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the end; also a signal handler."""
        self.is_made = True


@contextmanager
def stop_on_sigterm() -> Iterator[StopRequest]:
    """Within this, SIGTERM is a request that the block looks at, instead of the end.

    Only the main thread can take signals; in another one nobody asks.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.signal(signal.SIGTERM, request.make)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
