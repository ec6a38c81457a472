"""A server of weights on loopback, which misbehaves as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ModelServer:
    """Serves files by name; `behave[name]` is a list of what it does to the next requests.

    cut: half of what is asked for, then the connection breaks. busy: 503. page: HTML. other: bytes
    of another file. gone: 404. whole: all of it, whatever range is asked for. moved: a redirect.
    """

    def __init__(self, files):
        self.files, self.behave, self.requests = dict(files), {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body would wait 40 ms for its header

            def do_HEAD(self):
                server.answer(self, body=False)

            def do_GET(self):
                server.answer(self, body=True)

            def log_message(self, *args):
                del args

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, handler, *, body):
        name = handler.path.rpartition("/")[2]
        wanted = handler.headers.get("Range")
        if body:
            self.requests.append((name, wanted))
        todo = self.behave.get(name, [])
        act = todo.pop(0) if body and todo else ""
        content = self.files.get(name)
        if content is None or act == "gone":
            return self._send(handler, 404, b"", {})
        if act == "busy":
            return self._send(handler, 503, b"", {"Retry-After": "0"})
        if act == "page":
            return self._send(handler, 200, b"<html>log in</html>", {"Content-Type": "text/html"})
        if act == "moved":
            return self._send(handler, 302, b"", {"Location": f"/there/{name}"})
        if act == "other":
            content = bytes(b ^ 1 for b in content)
        headers, status = {"ETag": '"1"', "Accept-Ranges": "bytes"}, 200
        if wanted and act not in ("whole", "other"):
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            content, status = content[first:], 206
        self._send(handler, status, content, headers, body=body, cut=act == "cut")

    def _send(self, handler, status, content, headers, *, body=True, cut=False):
        handler.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(key, value)
        handler.end_headers()
        if body:
            handler.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            handler.close_connection = True
