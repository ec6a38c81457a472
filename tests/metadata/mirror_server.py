"""A server on loopback with the layout of dumps.wikimedia.org, that misbehaves where it is told to.

It answers Range, If-Range and HEAD, lists folders, and plays the MediaWiki API. `faults` holds, by
path, what goes wrong with the next requests, one after the other; after that all is well.
`slow_s` makes every answer take a while, half of it sent at once.
"""

import bz2
import gzip
import hashlib
import json
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

HTML = b"<!DOCTYPE html><html><body>We will be back soon.</body></html>"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: answer this and an empty page.
        retry_after: with this header.
        close_after: close the connection after so many bytes of the body.
        length_off_by: say that the body is so much longer.
        html: send a page of HTML with status 200.
        slow_s: send half of the body and wait before the rest.
        garbled: send other bytes of the same number.
        ignore_range: send the whole file.
    """

    status: int = 0
    retry_after: str | None = None
    close_after: int | None = None
    length_off_by: int = 0
    html: bool = False
    slow_s: float = 0.0
    garbled: bool = False
    ignore_range: bool = False


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    first_byte: int
    user_agent: str


@dataclass
class MirrorServer:
    """To be used in a with statement; `url` is where it is."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    articles: dict[tuple[str, str], str] = field(default_factory=dict)
    redirects: dict[tuple[str, str], str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    busiest: int = 0
    tags: bool = True
    extracts: bool = True
    slow_s: float = 0.0
    url: str = ""

    def __enter__(self):
        self._lock, self._busy = threading.Lock(), 0
        handler = type("Handler", (_Handler,), {"mirror": self, "protocol_version": "HTTP/1.1"})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_dump(self, database, date, files, *, job="articlesdump", status="done", sha1=True):
        """Put a dump up as dumpstatus.json lists it; `files` by what follows the date."""
        base = f"/{database}/{date}"
        listed, sums = {}, []
        for rest, body in files.items():
            name = f"{database}-{date}-{rest}"
            self.files[f"{base}/{name}"] = body
            digest = hashlib.sha1(body).hexdigest()
            listed[name] = {"size": len(body), "url": f"{base}/{name}"} | (
                {"sha1": digest} if sha1 else {}
            )
            sums.append(f"{digest}  {name}\n")
        path = f"{base}/dumpstatus.json"
        jobs = json.loads(self.files[path])["jobs"] if path in self.files else {}
        jobs[job] = {"status": status, "updated": "2026-01-02 00:00:00", "files": listed}
        self.files[path] = json.dumps({"version": "0.8", "jobs": jobs}).encode()
        before = self.files.get(f"{base}/{database}-{date}-sha1sums.txt", b"")
        self.files[f"{base}/{database}-{date}-sha1sums.txt"] = before + "".join(sums).encode()

    def add_export(self, database, date, parts, *, done=True):
        """Put an export up; `parts` by what follows the date, which is as in 2026-08-01."""
        base = f"/other/mediawiki_content_current/{database}/{date}/xml/bzip2"
        sums = []
        for rest, body in parts.items():
            name = f"{database}-{date}-{rest}.xml.bz2"
            self.files[f"{base}/{name}"] = body
            sums.append(f"{hashlib.sha256(body).hexdigest()}  {name}\n")
        if done:
            self.files[f"{base}/SHA256SUMS"] = "".join(sums).encode()
            self.files[f"{base}/_SUCCESS"] = b""
        return base

    def add_day(self, date, lines):
        """Put up the daily page views of a day; `lines` as in the file."""
        folder = f"/other/pageview_complete/{date[:4]}/{date[:4]}-{date[4:6]}"
        body = bz2.compress("".join(f"{line}\n" for line in lines).encode())
        self.files[f"{folder}/pageviews-{date}-user.bz2"] = body

    def add_hours(self, date, lines):
        """Put up the hourly page views of a day, all the same."""
        folder = f"/other/pageviews/{date[:4]}/{date[:4]}-{date[4:6]}"
        body = gzip.compress("".join(f"{line}\n" for line in lines).encode())
        for hour in range(24):
            self.files[f"{folder}/pageviews-{date}-{hour:02d}0000.gz"] = body

    def requests(self, part, method="GET"):
        """Return the requests of a method whose path holds a string."""
        return [seen for seen in self.seen if part in seen.path and seen.method == method]

    def enter(self, seen):
        with self._lock:
            self.seen.append(seen)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)

    def leave(self):
        with self._lock:
            self._busy -= 1

    def next_fault(self, path):
        with self._lock:
            return self.faults[path].pop(0) if self.faults[path] else Fault()


class _Handler(BaseHTTPRequestHandler):
    # Header and body are written one after the other: together they would wait for 40 ms.
    disable_nagle_algorithm = True
    mirror: MirrorServer

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the client is gone, as it is tested to be

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        agent = self.headers.get("User-Agent", "")
        self.mirror.enter(Seen(self.command, path, first, agent))
        try:
            self._answer(path, first, self.mirror.next_fault(path))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client gave up waiting, as it is tested to
        finally:
            self.mirror.leave()

    def _answer(self, path, first, fault):
        if fault.status:
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return self._send(fault.status, b"", headers)
        if fault.html:
            return self._send(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        if path.endswith("/api.php"):
            return self._send(200, self._api(path), {"Content-Type": "application/json"})
        if path.endswith("/"):
            return self._list(path)
        body = self.mirror.files.get(path)
        if body is None:
            return self._send(404, HTML, {"Content-Type": "text/html"})
        return self._send_file(body, first, fault)

    def _list(self, path):
        inside = {p[len(path) :].split("/")[0] + ("/" if "/" in p[len(path) :] else "")
                  for p in self.mirror.files if p.startswith(path)}  # fmt: skip
        if not inside:
            return self._send(404, HTML, {"Content-Type": "text/html"})
        rows = "".join(f'<a href="{name}">{name}</a>  01-Jan-2026 00:00  -\n' for name in inside)
        page = f'<html><body><pre><a href="../">../</a>\n{rows}</pre></body></html>'
        return self._send(200, page.encode(), {"Content-Type": "text/html"})

    def _send_file(self, body, first, fault):
        tag = f'"{hashlib.sha1(body).hexdigest()}"'
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {"ETag": tag} if self.mirror.tags else {}
        condition = self.headers.get("If-Range")
        if fault.ignore_range or (condition is not None and condition != tag):
            first = 0
        if first and first >= len(body):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        if fault.garbled:
            body = body[:4] + bytes(255 - byte for byte in body[4:])
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        return self._send(206 if first else 200, body[first:], headers, fault)

    def _send(self, status, body, headers, fault=None):
        fault = fault or Fault()
        length = len(body) + fault.length_off_by
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        pause_s = fault.slow_s or (self.mirror.slow_s if status in (200, 206) else 0.0)
        if pause_s:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(pause_s)
            body = body[len(body) // 2 :]
        self.wfile.write(body[: fault.close_after])
        if fault.close_after is not None or fault.length_off_by:
            self.close_connection = True

    def _api(self, path):
        lang = path.split("/")[1]
        asked = parse_qs(urlsplit(self.path).query)["titles"][0].replace("_", " ")
        title = self.mirror.redirects.get((lang, asked), asked)
        text = self.mirror.articles.get((lang, title))
        page = {"ns": 0, "title": title}
        page |= {"missing": ""} if text is None else {"pageid": len(title)}
        if text is not None and self.mirror.extracts:
            page["extract"] = text
        number = "-1" if text is None else str(len(title))
        return json.dumps({"batchcomplete": "", "query": {"pages": {number: page}}}).encode()
