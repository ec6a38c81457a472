"""Who may ask, and what an answer may do: every request and answer of the page's server goes here.

The server listens to this machine alone. That keeps no other page out that the same browser has
open, nor a name that leads here (DNS rebinding). So a request has to name the token that stands in
the page's own address, and a host that is this machine; one that another page makes is refused; and
all methods but reading are. Answers carry a policy by which nothing runs but the page's own script,
and nothing is asked of anybody else.

Source: OWASP, "DNS rebinding" and "Cross-Site Request Forgery Prevention"; W3C, "Fetch Metadata
Request Headers".
"""

import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Guard", "policy"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Behind a tunnel (`ssh -L`) the port is another one than that of the server.
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.ASCII)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex",
}
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def policy(script: str, style: str) -> str:
    """Return the policy of the page: its own script and style by their hashes, its own images.

    Args:
        script: hash of the script, as a policy names it.
        style: hash of the style.
    """
    return (
        f"{_NOTHING}; script-src '{script}'; style-src '{style}'; img-src 'self'; "
        "connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


class Guard:
    """Lets requests through that may be answered.

    Args:
        app: that answers.
        token: that the path of each request begins with.
    """

    def __init__(self, app: App, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks over a WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_policy(message.get("headers", []))
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        status, words = refusal
        body = words.encode() + b"\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8"),
                   (b"content-length", str(len(body)).encode())]  # fmt: skip
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send_guarded({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and words that a request is refused with; None for one that is let in."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].lower()):
            return 421, "This server answers at 127.0.0.1 and localhost alone."
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "This page only reads."
        if any(origin != f"http://{hosts[0]}" for origin in headers.get("origin", [])):
            return 403, "Other pages may not ask this one."
        site = headers.get("sec-fetch-site", ["none"])[-1]
        is_page = (
            headers.get("sec-fetch-mode", [""])[-1] == "navigate"
            and headers.get("sec-fetch-dest", [""])[-1] == "document"
        )
        if site not in ("same-origin", "none") and not is_page:
            return 403, "Other pages may not ask this one."
        path = scope.get("raw_path") or scope["path"].encode()
        _, first, _rest = (path.split(b"?")[0] + b"//").split(b"/", 2)
        if not hmac.compare_digest(first, self._token):
            return 403, (
                "This address lacks the token that `curate browse` printed, or has an old one. "
                "Open the address that stands in the terminal."
            )
        return None


def _with_policy(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    there = {name.lower() for name, _ in headers}
    added = [(name.encode(), value.encode()) for name, value in _HEADERS.items()
             if name.encode() not in there]  # fmt: skip
    if b"content-security-policy" not in there:
        added.append((b"content-security-policy", f"{_NOTHING}; sandbox".encode()))
    if b"cache-control" not in there:
        added.append((b"cache-control", b"no-store"))
    return [*headers, *added]
