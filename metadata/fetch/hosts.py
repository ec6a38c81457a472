"""How long to try a server, and what the threads of a run know of it together."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Hosts", "Retries"]

_GIVEN_UP_TO_BE_DOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How long to try.

    Attributes:
        attempts: in a row that bring no new byte, before giving up.
        first_wait_s: seconds before the second attempt; doubled before each further one.
        longest_wait_s: seconds; a server that asks for more is given up at once.
        timeout_s: seconds without a byte after which a connection is taken for dead.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 600.0
    timeout_s: float = 60.0


class Hosts:
    """What is known of servers, by host and port; for many threads.

    Args:
        retries: how long to try.
        wait: called with seconds.
    """

    def __init__(self, retries: Retries, wait: Callable[[float], object]) -> None:
        self._retries = retries
        self._wait = wait
        self._lock = threading.Lock()
        self._given_up: Counter[str] = Counter()
        self._closed_until: dict[str, float] = {}  # on the monotonic clock

    def attempts(self, host: str) -> int:
        """Return how often to try: a server that is down, once."""
        return 1 if self.is_down(host) else self._retries.attempts

    def is_down(self, host: str) -> bool:
        """Tell whether a server has been given up again and again, with nothing coming since."""
        return self._given_up[host] >= _GIVEN_UP_TO_BE_DOWN

    def note(self, host: str, *, came: bool) -> None:
        """Note that a file came, or that it was given up."""
        with self._lock:
            self._given_up[host] = 0 if came else self._given_up[host] + 1

    def pause(self, host: str, wait_s: float, asked_s: float | None) -> None:
        """Wait before another attempt, and as long as the server asks; so do all other threads.

        Args:
            host: of the server.
            wait_s: seconds of our own.
            asked_s: seconds of its Retry-After; None if it asks nothing.
        """
        if asked_s is None:
            self._wait(wait_s)
            return
        until = time.monotonic() + asked_s
        with self._lock:
            self._closed_until[host] = max(until, self._closed_until.get(host, 0.0))
        self._wait(max(wait_s, asked_s))
        with self._lock:
            if self._closed_until.get(host, until) <= until:
                self._closed_until.pop(host, None)

    def wait_until_open(self, host: str) -> None:
        """Wait as long as a server has asked another thread to."""
        with self._lock:
            left_s = self._closed_until.get(host, 0.0) - time.monotonic()
        if left_s > 0:
            self._wait(left_s)
