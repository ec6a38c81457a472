"""How many requests a host gets at once, and when it is given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Host", "Hosts"]


@dataclass(slots=True)
class Host:
    """A host that is asked for images.

    Attributes:
        slots: one for each request that it may get at once.
        users: requests that run or wait for a slot.
        silent: requests in a row that it did not answer.
        reason: why not, of the last one.
    """

    slots: asyncio.Semaphore
    users: int = 0
    silent: int = 0
    reason: str = ""

    def note(self, reason: str | None) -> None:
        """Take down that it answered (None), or why it did not."""
        self.silent = self.silent + 1 if reason else 0
        self.reason = reason or self.reason


class Hosts:
    """The hosts of a run; those that nobody waits for are forgotten.

    Args:
        per_host: requests to one host at a time.
        at_once: requests in all.
    """

    def __init__(self, per_host: int, at_once: int) -> None:
        self._per_host = per_host
        self._slots = asyncio.Semaphore(at_once)
        self._hosts: dict[str, Host] = {}

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[Host]:
        """Wait until a host may be asked, and ask it in the block."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(asyncio.Semaphore(self._per_host))
        host.users += 1
        try:
            async with host.slots, self._slots:
                yield host
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[name]
