"""What hosts say in robots.txt and tdmrep.json: asked once each, kept for a day.

A host without such a file (4xx) has no rules. As RFC 9309 has it, one whose robots.txt cannot be
had because the server fails (5xx, 429, no whole answer) is not asked for images either.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from curate.pipelines.opt_outs.patterns import escaped
from curate.pipelines.opt_outs.robots_txt import RobotsRules
from curate.pipelines.opt_outs.signals import Signal, Verdict
from curate.pipelines.opt_outs.tdm import TdmRules

__all__ = ["HostFile", "HostRules"]

_KEPT_S = 24 * 3600.0  # RFC 9309, section 2.4
_MOST_CHARACTERS = 64 << 20  # of all rules that are kept
_OF_A_HOST = 500  # characters, besides its rules
# The image will fail for the same reason, which says more.
_OWN_REASONS = frozenset(("dns", "dns_again", "tls", "private_address", "bad_url"))


@dataclass(frozen=True, slots=True)
class HostFile:
    """A file of a host.

    Attributes:
        content: as far as it was read; None if there is none.
        is_cut: it goes on.
        reason: why there is none, as of an image.
    """

    content: bytes | None = None
    is_cut: bool = False
    reason: str = ""

    @property
    def is_unreachable(self) -> bool:
        """Whether the host may have the file and could not give it."""
        if not self.reason.startswith("http_"):
            return self.reason not in ("", "empty", "too_many_redirects", *_OWN_REASONS)
        return self.reason == "http_429" or self.reason >= "http_500"


class _Rules(NamedTuple):
    robots: RobotsRules | None
    tdm: TdmRules
    is_tdm_known: bool


class HostRules:
    """The rules of hosts, each asked for when it is first needed.

    Args:
        get: gives a file; it is called once for each file, and does not raise.
        robot: name that rules may be for, in lower case.
    """

    def __init__(self, get: Callable[[URL], Awaitable[HostFile]], robot: str) -> None:
        self._get, self._robot = get, robot
        self._known: OrderedDict[URL, tuple[float, asyncio.Task[_Rules]]] = OrderedDict()
        self._sizes: dict[URL, int] = {}
        self._size = 0

    async def signals(self, target: URL) -> list[Signal] | None:
        """Return what the host of a URL says of it; None if its robots.txt could not be had."""
        origin = target.origin()
        known = self._known.get(origin)
        if known is None or time.monotonic() - known[0] > _KEPT_S:
            known = (time.monotonic(), asyncio.create_task(self._load(origin)))
            self._known[origin] = known
        self._known.move_to_end(origin)
        rules = await asyncio.shield(known[1])
        if rules.robots is None:
            return None
        path = escaped(target.raw_path_qs)
        found = [*rules.robots.signals(path), *rules.tdm.signals(path)]
        if not rules.is_tdm_known:
            found.append(Signal("tdmrep.json", Verdict.UNKNOWN))
        return found

    async def _load(self, origin: URL) -> _Rules:
        robots = await self._get(origin.with_path("/robots.txt"))
        if robots.is_unreachable:
            self._keep(origin, _OF_A_HOST)
            return _Rules(None, TdmRules(None), is_tdm_known=False)
        tdm = await self._get(origin.with_path("/.well-known/tdmrep.json"))
        rules = await asyncio.to_thread(self._read, robots, tdm)
        self._keep(origin, _OF_A_HOST + (rules.robots.size if rules.robots else 0) + rules.tdm.size)
        return rules

    def _read(self, robots: HostFile, tdm: HostFile) -> _Rules:
        of_robots = RobotsRules(robots.content, self._robot, is_cut=robots.is_cut)
        of_tdm = TdmRules(tdm.content, is_cut=tdm.is_cut)
        return _Rules(of_robots, of_tdm, is_tdm_known=not tdm.is_unreachable)

    def _keep(self, origin: URL, size: int) -> None:
        """Note how large rules are, and forget those not used for longest if all are too large."""
        self._size += size - self._sizes.get(origin, 0)
        self._sizes[origin] = size
        while self._size > _MOST_CHARACTERS and len(self._sizes) > 1:
            oldest = next(one for one in self._known if one in self._sizes)
            del self._known[oldest]
            self._size -= self._sizes.pop(oldest)
