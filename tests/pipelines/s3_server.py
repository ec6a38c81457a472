"""An S3 server on loopback, and a proxy before it that fails as real stores do."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("500", "503", "timeout", "drop")

_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


class FaultyProxy:
    """Passes requests on to a server; every nth goes wrong, one fault after the other.

    Attributes:
        url: of the proxy.
        seen: number of requests by fault; "" for those that were passed on.
    """

    def __init__(self, port: int, every: int, faults: Sequence[str], stall_s: float) -> None:
        self.seen: Counter[str] = Counter()
        self.every = every
        self._faults = itertools.cycle(faults)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._target = port
        self.stall_s = stall_s
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def next_fault(self) -> str:
        with self._lock:
            is_faulty = self.every and next(self._numbers) % self.every == 0
            fault = next(self._faults) if is_faulty else ""
            self.seen[fault] += 1
            return fault

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body would wait 40 ms for its header

            def log_message(self, *_: object) -> None:
                pass

            def body(self) -> bytes:
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    pieces = []
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        pieces.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(pieces)
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def answer(self) -> None:
                body = self.body()
                fault = proxy.next_fault()
                self.close_connection = bool(fault)
                if fault == "timeout":
                    time.sleep(proxy.stall_s)
                    return
                if fault in ("500", "503"):
                    self.send_response(int(fault))
                    self.send_header("Content-Length", str(len(_SLOW_DOWN)))
                    self.end_headers()
                    self.wfile.write(b"" if self.command == "HEAD" else _SLOW_DOWN)
                    return
                status, headers, content = self.forward(body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                if self.command != "HEAD" and not any(n.lower() == "content-length"
                                                      for n, _ in headers):  # fmt: skip
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if fault == "drop" else content)

            def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                connection = http.client.HTTPConnection("127.0.0.1", proxy._target, timeout=30)
                headers = {
                    k: v
                    for k, v in self.headers.items()
                    if k.lower() not in ("transfer-encoding", "expect", "connection")
                }
                if body or self.command in ("PUT", "POST"):
                    headers["Content-Length"] = str(len(body))
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                answer = (response.status, response.getheaders(), response.read())
                connection.close()
                return answer

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        return Handler


@contextmanager
def s3_server() -> Iterator[int]:
    """Run an S3 server with a bucket ``data``; yield its port."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        client.create_bucket(Bucket="data")
        client.close()
        yield port
    finally:
        server.stop()


@contextmanager
def faulty_proxy(
    port: int, every: int, faults: Sequence[str] = FAULTS, stall_s: float = 3.0
) -> Iterator[FaultyProxy]:
    """Run a proxy before a server; `every` 0 passes everything on."""
    proxy = FaultyProxy(port, every, faults, stall_s)
    try:
        yield proxy
    finally:
        proxy.close()


def environment(url: str, read_timeout_s: float = 0.5) -> dict[str, str]:
    """Return the variables by which a process finds the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "3",
        "FSSPEC_S3": f'{{"config_kwargs": {{"read_timeout": {read_timeout_s}}}}}',
    }
