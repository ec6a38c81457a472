"""A hub on loopback with the routes that huggingface_hub asks for, which fails when it is told to.

It keeps files of dataset repositories, large ones by their sha256 as the Hub does. `fail` lists
what goes wrong next: a part of a route, and a status or "cut", which ends the connection without
an answer, or "late", which does what is asked and then ends it.
"""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN, READER = "hf_writes", "hf_reads"
LARGE = (".parquet", ".tar")


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos, self.objects, self.fail, self.asked, self.uploads = {}, {}, [], [], []
        self.signature = ""  # of the addresses that large files go to

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self, name):
        return self.repos[name]["files"]


@contextmanager
def running_hub():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    # Header and body are written one after the other: together they would wait for 40 ms.
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _answer(self, value=None, status=200, headers=(), content=None):
        if value is not None:
            content = json.dumps(value).encode()
        body = content or b""
        self.send_response(status)
        for name, text in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, text)
        if value is not None:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self):
        self.close_connection = True
        self.connection.close()

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _handle(self):
        hub = self.server
        body = self._body()
        path = unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        late = False
        if hub.fail and hub.fail[0][0] in path and self.command != "GET":
            what = hub.fail.pop(0)[1]
            if what == "cut":
                return self._cut()
            if what == "late":
                late = True
            else:
                return self._answer({"error": "the hub is ill"}, what)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        writes = self.command in ("POST", "PUT") and "validate-yaml" not in path
        if not path.startswith("/objects/"):
            if token not in ("", TOKEN, READER):
                return self._answer({"error": "Invalid credentials"}, 401)
            if writes and "/paths-info/" not in path and token != TOKEN:
                return self._answer({"error": "may not write"}, 403)
        if late:
            real, self.wfile = self.wfile, _Nowhere()
            self._route(path, body)
            self.wfile = real
            return self._cut()
        return self._route(path, body)

    do_GET = do_POST = do_PUT = do_HEAD = _handle

    def _route(self, path, body):
        hub = self.server
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = (
                f"{asked['organization']}/{asked['name']}"
                if asked.get("organization")
                else f"me/{asked['name']}"
            )
            private = asked.get("private") or asked.get("visibility") == "private"
            hub.repos.setdefault(name, {"private": bool(private), "files": {}, "commits": []})
            return self._answer({"url": f"{hub.url}/datasets/{name}", "name": name, "id": name})
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if path.startswith("/objects/"):
            oid = path.rpartition("/")[2]
            assert hashlib.sha256(body).hexdigest() == oid
            hub.objects[oid] = body
            hub.uploads.append(oid)
            return self._answer({})
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            name, rest = "/".join(parts[2:4]), parts[4:]
        else:
            name, rest = "/".join(parts[1:3]).removesuffix(".git"), parts[3:]
        repo = hub.repos.get(name)
        if repo is None:
            return self._answer({"error": "Repository not found"}, 404,
                                [("X-Error-Code", "RepoNotFound")])  # fmt: skip
        return self._of_repo(name, repo, rest, body)

    def _of_repo(self, name, repo, rest, body):
        kind = rest[0] if rest else "revision"
        if kind.startswith("xet-"):
            return self._answer({"error": "no access to Xet"}, 403)
        if kind == "commit":
            return self._commit(name, repo, body)
        if kind == "revision":
            return self._about(name, repo)
        routes = {"tree": self._tree, "paths-info": self._paths, "preupload": self._modes,
                  "info": self._lfs, "resolve": self._resolve}  # fmt: skip
        if kind not in routes:
            return self._answer({"error": f"no such route: {rest}"}, 500)
        return routes[kind](repo["files"], "/".join(rest[2:]), body)

    def _about(self, name, repo):
        shown = [{"rfilename": path} for path in sorted(repo["files"])]
        return self._answer({"id": name, "private": repo["private"], "siblings": shown,
                             "sha": "0" * 40, "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def _tree(self, files, below, _):
        found = [_entry(p, c) for p, c in sorted(files.items()) if p.startswith(below)]
        folders = sorted({p.rpartition("/")[0] for p in files if "/" in p})
        found += [_folder(p) for p in folders if p.startswith(below) and p != below]
        return self._answer(found) if found or not below else self._no_entry()

    def _paths(self, files, _, body):
        asked = json.loads(body)["paths"]
        found = [_entry(p, files[p]) for p in asked if p in files]
        found += [_folder(p) for p in asked if any(one.startswith(f"{p}/") for one in files)]
        return self._answer(found)

    def _modes(self, _files, _path, body):
        modes = [{"path": f["path"], "shouldIgnore": False, "oid": None,
                  "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"}
                 for f in json.loads(body)["files"]]  # fmt: skip
        return self._answer({"files": modes})

    def _lfs(self, _files, _path, body):
        hub, objects = self.server, []
        for asked in json.loads(body)["objects"]:
            objects.append({"oid": asked["oid"], "size": asked["size"]})
            if asked["oid"] not in hub.objects:
                href = f"{hub.url}/objects/{asked['oid']}{hub.signature}"
                objects[-1]["actions"] = {"upload": {"href": href}}
        return self._answer({"transfer": "basic", "objects": objects})

    def _resolve(self, files, path, _):
        return self._file(files[path]) if path in files else self._no_entry()

    def _no_entry(self):
        headers = [("X-Error-Code", "EntryNotFound")]
        return self._answer({"error": "Entry not found"}, 404, headers)

    def _file(self, content):
        headers = [("ETag", f'"{blob_id(content)}"'), ("X-Repo-Commit", "0" * 40),
                   ("Accept-Ranges", "bytes")]  # fmt: skip
        asked = self.headers.get("Range")
        if asked is None:
            return self._answer(headers=headers, content=content)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        stop = min(int(last) + 1 if last else len(content), len(content))
        headers.append(("Content-Range", f"bytes {first}-{stop - 1}/{len(content)}"))
        return self._answer(status=206, headers=headers, content=content[int(first) : stop])

    def _commit(self, name, repo, body):
        hub, changed = self.server, dict(repo["files"])
        for line in body.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                changed[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                changed[value["path"]] = hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                if value["path"] not in changed:
                    return self._answer({"error": "no such file to delete"}, 400)
                del changed[value["path"]]
        repo["files"] = changed
        repo["commits"].append(sorted(changed))
        oid = f"{len(repo['commits']):040x}"
        return self._answer({"success": True, "commitOid": oid, "hookOutput": "",
                             "commitUrl": f"{hub.url}/datasets/{name}/commit/{oid}"})  # fmt: skip


class _Nowhere:
    def write(self, data):
        return len(data)

    def flush(self):
        pass


def _folder(path):
    return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}


def _entry(path, content):
    found = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if path.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 128}
    return found
