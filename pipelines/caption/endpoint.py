"""Captions from a server that speaks OpenAI's protocol of chats, such as vLLM's.

Some requests at once, no more a second than allowed. What may pass (429, 5xx, a broken connection,
half an answer) is asked again, later each time, or when the server says; what stays is a failed
caption with its reason. A server that refuses us altogether ends the run.
"""

import base64
import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
import xxhash
from PIL import Image

from curate.errors import FetchError, InputError, UsageError
from curate.files.addresses import without_secrets
from curate.pipelines.caption.ask import Answer, Ask, as_answer
from curate.pipelines.caption.prompts import Prompts
from curate.pipelines.caption.sampling import Decoding

__all__ = ["KEY_VARIABLE", "Endpoint", "EndpointOptions"]

KEY_VARIABLE = "CURATE_ENDPOINT_KEY"
_MAX_ANSWER_BYTES = 4 << 20
_LONGEST_WAIT_S = 120.0
_DOWN_AFTER = 20  # requests in a row that no server took: it is down, and not busy
_PASSING = frozenset({408, 409, 425, 429, *range(500, 600)})
_REFUSED = {401: "it wants another key", 403: "it wants another key", 404: "it has no such address "
            "or model", 405: "it is no such server"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """How a server is asked.

    Attributes:
        url: up to and with ``/v1``.
        model: name that the server has for it.
        concurrency: requests at once.
        per_second: requests that begin in a second, at most; None for any number.
        attempts: for one caption.
        timeout_s: of an answer.
        wait_s: before the second attempt; twice as long each time.
        image_size: longest side that is sent, in pixels.
    """

    url: str
    model: str
    concurrency: int = 8
    per_second: float | None = None
    attempts: int = 5
    timeout_s: float = 120.0
    wait_s: float = 1.0
    image_size: int = 1024

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(f"--endpoint is {self.url!r}; expected such as http://host:8000/v1")
        for name in ("concurrency", "attempts", "image_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.per_second is not None and not self.per_second > 0:
            raise UsageError(f"--per-second is {self.per_second}; expected more than 0")


class _Pace:
    """Lets requests begin one after the other, no more a second than allowed."""

    def __init__(self, per_second: float | None) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._lock, self._next = threading.Lock(), 0.0

    def wait(self) -> None:
        """Return when the next request may begin."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._gap
        time.sleep(begin - now)

    def pause(self, seconds: float) -> None:
        """Let nobody begin for a while: a server that is busy is so for all."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class _Passing(Exception):
    """An answer that may be another one next time.

    Attributes:
        reason: a word for the counts.
        wait_s: that the server asks for; None if it does not.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait_s = reason, wait_s


class Endpoint:
    """A captioner behind an address."""

    def __init__(self, options: EndpointOptions, prompts: Prompts, decoding: Decoding) -> None:
        self._options, self._prompts, self._decoding = options, prompts, decoding
        self._pace = _Pace(options.per_second)
        self._here = threading.local()
        self._down, self._lock = 0, threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def describe(self) -> dict[str, Any]:
        """Return what decides the captions: not the address, which may move."""
        return {"kind": "endpoint", "model": self._options.model,
                "image_size": self._options.image_size}  # fmt: skip

    def require_model(self) -> None:
        """Ask the server for its models, where it tells them.

        Raises:
            InputError: it does not have ours, or cannot be reached.
        """
        place = without_secrets(self._options.url)
        try:
            answer = self._session().get(
                f"{self._options.url.rstrip('/')}/models", timeout=self._options.timeout_s,
                allow_redirects=False,
            )  # fmt: skip
            found = answer.json() if answer.status_code == 200 else None
        except requests.exceptions.JSONDecodeError:
            return  # it tells no models
        except requests.RequestException as error:
            raise InputError(f"{place}: cannot be reached ({error}). Check the address.") from error
        if answer.status_code in (401, 403):
            raise InputError(f"{place}: {_refusal(answer.status_code)}")
        listed = found.get("data") if isinstance(found, dict) else None
        names = [m["id"] for m in listed or () if isinstance(m, dict) and type(m.get("id")) is str]
        if names and self._options.model not in names:
            raise InputError(
                f"{place}: has no model {self._options.model!r}; it has {', '.join(names[:8])}. "
                "Name it with --model."
            )

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """Return an answer for each, in order.

        Raises:
            FetchError: the server is down, or refuses us.
        """
        if self._pool is None:  # for all batches, so that connections stay open between them
            self._pool = ThreadPoolExecutor(self._options.concurrency)
        return list(self._pool.map(self._answer, asks))

    def _session(self) -> requests.Session:
        """Return this thread's connections."""
        if not hasattr(self._here, "session"):
            session = requests.Session()
            session.trust_env = False  # no other password than ours, no proxy
            if key := os.environ.get(KEY_VARIABLE):
                session.headers["Authorization"] = f"Bearer {key}"
            self._here.session = session
        found: requests.Session = self._here.session
        return found

    def _answer(self, ask: Ask) -> Answer:
        """Ask until there is an answer that stays."""
        body = self._body(ask)
        counts: Counter[str] = Counter()
        reason = ""
        for attempt in range(self._options.attempts):
            self._pace.wait()
            counts["requests"] += 1
            try:
                return self._once(body, counts)
            except _Passing as passing:
                reason = passing.reason
                counts[f"again_{reason}"] += 1
                if attempt + 1 < self._options.attempts:
                    self._wait(ask, attempt, passing.wait_s)
        return Answer(None, reason, counts)

    def _wait(self, ask: Ask, attempt: int, asked: float | None) -> None:
        """Wait before the next attempt, each ask a bit differently, or as the server says."""
        if asked is not None:
            self._pace.pause(min(asked, _LONGEST_WAIT_S))
            return
        spread = xxhash.xxh3_64_intdigest(f"{ask.pair_id}\t{attempt}".encode()) / 2**64
        time.sleep(min(self._options.wait_s * 2**attempt * (0.5 + spread), _LONGEST_WAIT_S))

    def _once(self, body: dict[str, Any], counts: Counter[str]) -> Answer:
        status, content, headers = self._post(body)
        if status in _REFUSED:
            said = content[:200].decode("utf-8", "replace")
            raise FetchError(f"{without_secrets(self._options.url)}: {_refusal(status)} ({said!r})")
        if status in _PASSING:
            raise _Passing(f"http_{status}", _seconds(headers.get("Retry-After")))
        if status != 200:
            return Answer(None, f"http_{status}", counts)
        try:
            found = json.loads(content)
            choice = found["choices"][0]
            text = choice["message"]["content"]
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise _Passing("bad_answer") from error
        if found.get("model") not in (None, self._options.model):
            return Answer(None, "other_model", counts)
        usage = found.get("usage") if isinstance(found.get("usage"), dict) else {}
        for name in ("prompt_tokens", "completion_tokens"):
            counts[name] += usage[name] if type(usage.get(name)) is int else 0
        if not isinstance(text, str):
            return Answer(None, "empty_answer", counts)
        if choice.get("finish_reason") == "length":
            counts["cut_off"] += 1
        return as_answer(text, counts)

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes, Any]:
        """Send a request; return status, content and headers.

        Raises:
            FetchError: no server has taken any of many requests in a row.
        """
        place = f"{self._options.url.rstrip('/')}/chat/completions"
        try:
            with self._session().post(
                place, json=body, timeout=(10, self._options.timeout_s), stream=True,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                content, late = b"", time.monotonic() + self._options.timeout_s
                while chunk := answer.raw.read1(1 << 16, decode_content=True):
                    content += chunk
                    if len(content) > _MAX_ANSWER_BYTES:
                        raise _Passing("bad_answer")
                    if time.monotonic() > late:  # drop by drop it would never end
                        raise _Passing("timeout")
                with self._lock:
                    self._down = 0
                return answer.status_code, content, answer.headers
        except requests.ConnectionError as error:
            with self._lock:
                self._down += 1
                down = self._down
            if down >= max(_DOWN_AFTER, 2 * self._options.concurrency):
                raise FetchError(
                    f"{without_secrets(self._options.url)}: has taken none of {down} requests "
                    f"({error}). What is done is kept: run the same command again when it is back."
                ) from error
            raise _Passing("no_connection") from error
        except requests.Timeout as error:
            raise _Passing("timeout") from error
        except urllib3.exceptions.TimeoutError as error:
            raise _Passing("timeout") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _Passing("bad_answer") from error  # it breaks off

    def _body(self, ask: Ask) -> dict[str, Any]:
        image = {"type": "image_url", "image_url": {"url": self._data_url(ask.image)}}
        words = {"type": "text", "text": self._prompts.words(ask.alt, ask.lang)}
        messages: list[dict[str, Any]] = [{"role": "user", "content": [image, words]}]
        if self._prompts.system:
            messages.insert(0, {"role": "system", "content": self._prompts.system})
        return {
            "model": self._options.model, "messages": messages,
            "max_tokens": self._decoding.max_tokens, "temperature": self._decoding.temperature,
            "top_p": self._decoding.top_p, "seed": self._decoding.seed_of(ask.pair_id) % 2**31,
        }  # fmt: skip

    def _data_url(self, image: Image.Image) -> str:
        side = self._options.image_size
        if max(image.size) > side:
            image = image.copy()
            image.thumbnail((side, side), Image.Resampling.BICUBIC)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=92)
        return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _refusal(status: int) -> str:
    key = f" Set {KEY_VARIABLE}." if status in (401, 403) else ""
    return f"answers {status}: {_REFUSED[status]}.{key}"


def _seconds(value: str | None) -> float | None:
    """Return a Retry-After in seconds; None without one, or of a date.

    >>> _seconds("3"), _seconds("soon"), _seconds(None)
    (3.0, None, None)
    """
    try:
        found = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None
