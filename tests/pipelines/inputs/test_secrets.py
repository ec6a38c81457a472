"""Inputs behind addresses with passwords and signatures: they work, and leave no secret behind."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest

from curate.api.stored import retract
from curate.cli.main import main
from curate.files import storage
from tests.pipelines.helpers import contents, write_metadata

LINES = "".join(f'{{"url": "https://e.example/{i}.jpg", "text": "a dog {i}"}}\n' for i in range(30))
SECRETS = (b"hunter2", b"sesame", b"s1gn4ture", b"robot-user")


class Handler(BaseHTTPRequestHandler):
    """Serves lines to those who know the password and a token."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        wanted = "Basic " + base64.b64encode(b"robot-user:hunter2").decode()
        path, _, query = self.path.partition("?")
        may = self.headers.get("Authorization") == wanted and "token=sesame" in query
        status = 403 if not may else 404 if not path.startswith("/a") else 200
        body = LINES.encode() if status == 200 else b"no"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def curate(*arguments):
    with pytest.raises(SystemExit) as ending:
        main([str(a) for a in arguments])
    return ending.value.code


def left_behind(folder):
    """Return every file below a folder that holds a secret, in its name or its bytes."""
    return [
        str(path) for path in sorted(folder.rglob("*"))
        if any(s in path.name.encode() for s in SECRETS)
        or (path.is_file() and any(s in path.read_bytes() for s in SECRETS))
    ]  # fmt: skip


def test_nothing_that_a_run_leaves_behind_holds_a_secret(tmp_path, server, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_metadata(tmp_path / "data/metadata", {"en": ["dog"]})
    with fsspec.open("memory://list.txt?token=sesame", "w") as file:
        file.write("blocked.example\n")
    address = f"http://robot-user:hunter2@{server}/a.jsonl?token=sesame&v=1"
    blocklist = "blocklist=memory://list.txt?token=sesame"
    assert curate("match", address, "--lang", "en", "--filter", blocklist) == 0
    assert curate("balance", "--t", "10", "--filter", blocklist) == 0
    assert curate("card", "--filter", blocklist, "--overwrite") == 0
    assert curate("status") == 0 and curate("status", "--json") == 0
    assert curate("yield", "--grid", "5") == 0
    (tmp_path / "list").write_text("https://e.example/3.jpg\n")
    retract(tmp_path / "list", filter=blocklist)
    plan = storage.read_json("data/matched/plan.json")
    assert [one["path"] for one in plan["inputs"]] == [f"http://{server}/a.jsonl?v=1"]
    card = storage.read_json("data/balanced/datacard.json")
    assert card["inputs"][0]["path"] == f"http://{server}/a.jsonl?v=1"
    assert f"http://{server}/a.jsonl?v=1" in card["command"]
    bad = f"http://robot-user:hunter2@{server}/none.jsonl?token=sesame&sig=s1gn4ture"
    assert curate("match", bad, "--lang", "en") != 0
    shown = capsys.readouterr()
    assert not any(s.decode() in shown.out + shown.err for s in SECRETS)
    assert left_behind(tmp_path) == []


def test_addresses_that_differ_in_secrets_alone_are_one_input(tmp_path, server, capsys):
    write_metadata(tmp_path / "metadata", {"en": ["dog"]})
    places = ["-o", tmp_path / "matched", "--metadata", tmp_path / "metadata", "--lang", "en"]
    first = f"http://robot-user:hunter2@{server}/a.jsonl?token=sesame"
    again = f"http://robot-user:hunter2@{server}/a.jsonl?token=sesame&sig=s1gn4ture"
    assert curate("match", first, again, *places) == 0
    assert "are the same inputs" in capsys.readouterr().err
    plan = storage.read_json(str(tmp_path / "matched/plan.json"))
    assert len(plan["inputs"]) == len(plan["parts"]) == 1
    before = contents(tmp_path / "matched")
    # A run that was cut short goes on with the address of the command line, signed anew.
    (tmp_path / "matched/pairs/00000.parquet").unlink()
    (tmp_path / "matched/summary.json").unlink()
    assert curate("match", again, *places) == 0
    assert contents(tmp_path / "matched") == before
