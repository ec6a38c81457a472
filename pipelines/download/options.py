"""How images are asked for: options in, checked values out."""

from dataclasses import dataclass

from curate.distribution import USER_AGENT
from curate.errors import UsageError
from curate.pipelines.opt_outs.content import ROBOT

__all__ = ["FetchOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How images are asked for.

    Attributes:
        timeout_s: of one request, from the connection to the last byte.
        retries: further requests after an answer or failure that may pass.
        backoff_s: before the first of them; doubled for each further one.
        max_bytes: of an image.
        max_redirects: followed for one image.
        per_host: requests to one host at a time.
        at_once: requests in all.
        give_up_after: requests in a row that a host leaves unanswered before it is not asked any
            more for what waits for it.
        user_agent: that servers are told.
        robot: name that directives for robots may be addressed to.
        honour_opt_outs: leave out images whose server says no.
        host_rules: ask each host for robots.txt and tdmrep.json as well.
        max_rules_bytes: of such a file that are read; RFC 9309 asks for 500 KiB at least.
        allow_private: fetch from addresses that are not public too.
    """

    timeout_s: float = 30.0
    retries: int = 2
    backoff_s: float = 1.0
    max_bytes: int = 20_000_000
    max_redirects: int = 5
    per_host: int = 8
    at_once: int = 256
    give_up_after: int = 16
    user_agent: str = USER_AGENT
    robot: str = ROBOT
    honour_opt_outs: bool = True
    host_rules: bool = False
    max_rules_bytes: int = 500 << 10
    allow_private: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        least = {"timeout_s": 0.001, "retries": 0, "backoff_s": 0, "max_bytes": 1,
                 "max_redirects": 0, "per_host": 1, "at_once": 1, "give_up_after": 1,
                 "max_rules_bytes": 1}  # fmt: skip
        for name, bound in least.items():
            value = getattr(self, name)
            if not value >= bound:
                option = f"--{name.removesuffix('_s').replace('_', '-')}"
                raise UsageError(f"{option} is {value}; expected at least {bound}")
