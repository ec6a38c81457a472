"""A server of chats on loopback that misbehaves in every way that the alt-text asks for."""

import base64
import io
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

MODEL = "tiny-vlm"


class ChatServer(ThreadingHTTPServer):
    """Answers `a COLOUR image: ALT`; the first word of the alt-text says what goes wrong.

    Attributes:
        bodies: of the requests, by alt-text.
        tries: by alt-text.
        times: when requests came.
        headers: of the last request.
        connections: that were opened.
        models: that it says it has; None: it does not say.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies, self.tries, self.times, self.headers = {}, Counter(), [], {}
        self.models, self.lock = [MODEL], threading.Lock()
        self.at_once = self.most_at_once = self.connections = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    # Header and body are written one after the other: together they would wait for 40 ms.
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802
        if self.server.models is None:
            self._send(404, b"no such thing")
        else:
            data = [{"id": name} for name in self.server.models]
            self._send(200, json.dumps({"data": data}).encode())

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        image, words = body["messages"][-1]["content"]
        alt = words["text"].partition("ALT=")[2].partition("|")[0]
        server = self.server
        with server.lock:
            server.bodies[alt], server.headers = body, dict(self.headers)
            server.tries[alt] += 1
            tries = server.tries[alt]
            server.times.append(time.monotonic())
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        encoded = image["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        colour = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").getpixel((0, 0))
        try:
            self._behave(alt, tries, colour)
        finally:
            with server.lock:
                server.at_once -= 1

    def _behave(self, alt, tries, colour):
        word, _, rest = alt.partition(" ")
        good = _answer(f"a {_name(colour)} image: {alt}")
        if word == "busy" and tries < 3:
            self._send(429, b"slow down", **({"Retry-After": "0"} if rest == "now" else {}))
        elif word == "broken" and tries < 2 or word == "dead":
            self._send(500, b"oops")
        elif word == "half" and tries < 2 or word == "halves":
            self._send(200, good, cut=len(good) // 2)
        elif word == "garbage":
            self._send(200, b"<html>hello</html>")
        elif word == "other":
            self._send(200, _answer("x", model="other-model"))
        elif word == "empty":
            self._send(200, _answer("  \n"))
        elif word == "null":
            self._send(200, _answer(None))
        elif word == "long":
            self._send(200, _answer("word " * 2000))
        elif word == "cut":
            self._send(200, _answer("a dog and", finish="length"))
        elif word == "bad":
            self._send(400, b"no such image")
        elif word == "key":
            self._send(401, b"who are you")
        elif word == "flood":
            self._send(200, b"x" * (5 << 20))
        elif word == "drops":
            self._drip(good)
        elif word == "moved":
            self._send(302, b"", Location="http://127.0.0.1:1/")
        else:
            time.sleep(0.02)
            self._send(200, good)

    def _drip(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            for at in range(len(content)):
                self.wfile.write(content[at : at + 1])
                time.sleep(0.1)
        except OSError:
            self.close_connection = True  # nobody listens any more

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def _send(self, status, content, *, cut=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


def _answer(text, *, model=MODEL, finish="stop"):
    choice = {"message": {"content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return json.dumps({"model": model, "choices": [choice], "usage": usage}).encode()


def _name(colour):
    return ("red", "green", "blue")[max(range(3), key=lambda i: colour[i])]


@contextmanager
def serving():
    """A server for the block."""
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
