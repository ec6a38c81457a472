"""The server of the page: who may ask, what it answers, and that nothing else comes out of it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import curate
from curate.errors import CurateError, MissingExtraError, UsageError
from curate.files.remedies import on_command_line
from curate.pipelines.browse import stage
from curate.pipelines.browse.web import opening
from curate.pipelines.browse.web.page import page_and_policy
from tests.pipelines.browse.world import picture, write_world
from tests.pipelines.tar_helpers import write_tar


@pytest.fixture(autouse=True)
def told_as_to_a_shell():
    with on_command_line():
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("server"), num=48)


@pytest.fixture(scope="module")
def page(workspace):
    with curate.browse(workspace=workspace, quiet=True) as found:
        yield found


def raw(page, path, headers=(), method="GET"):
    """Send a request exactly as it is; return status, headers and body."""
    port = urlsplit(page.address).port
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        answer = http.client.HTTPResponse(sock, method=method)
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read()


def base(page):
    return urlsplit(page.address).path


def host(page):
    return ("Host", urlsplit(page.address).netloc)


def get(page, path, *headers):
    return raw(page, base(page) + path, [host(page), *headers])


def test_the_page_and_its_answers_are_served_with_a_strict_policy(page):
    status, headers, body = get(page, "")
    policy = headers["content-security-policy"]
    assert status == 200 and body.startswith(b"<!doctype html>")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
    assert re.search(r"script-src 'sha256-[^']{44}'", policy)
    for path in ("", "api/about", "api/none", "icon.svg", "image/x/matched/0.0"):
        _, headers, _ = get(page, path)
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers and "set-cookie" not in headers
        assert "server" not in headers
    assert "http" not in re.sub(r"https?:\\?/\\?/www\.w3\.org/\S+|https\?:|https\?:\\/", "",
                                re.sub(r"/\^https.*?/i", "", page_and_policy()[0]))  # fmt: skip


def test_it_listens_to_this_machine_alone(page):
    address = urlsplit(page.address)
    assert address.hostname == "127.0.0.1" and len(base(page).strip("/")) >= 32
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
                 if line.split()[3] == "0A"]  # fmt: skip
    mine = [one for one in listening if int(one.split(":")[1], 16) == address.port]
    assert mine == [f"0100007F:{address.port:04X}"]


@pytest.mark.parametrize("name", ["example.org", "127.0.0.1.example.org", "evil@127.0.0.1",
                                  "0.0.0.0", "[::1]", "", "localhost.evil"])  # fmt: skip
def test_another_name_that_leads_here_is_refused(page, name):
    port = urlsplit(page.address).port
    for value in (name, f"{name}:{port}"):
        status, _, body = raw(page, f"{base(page)}api/about", [("Host", value)])
        assert status == 421 or (status == 400 and not name), value
        assert b"matched" not in body


def test_two_host_headers_are_refused_and_names_of_this_machine_are_not(page):
    port = urlsplit(page.address).port
    status, _, _ = raw(page, f"{base(page)}api/about", [host(page), ("Host", "example.org")])
    assert status in (400, 421)
    for name in ("localhost", f"LOCALHOST:{port}", "127.0.0.1:9999"):  # another port: a tunnel
        assert raw(page, f"{base(page)}api/about", [("Host", name)])[0] == 200


@pytest.mark.parametrize(
    "headers",
    [[("Origin", "http://example.org")], [("Origin", "null")],
     [("Origin", "http://127.0.0.1:1")], [("Sec-Fetch-Site", "cross-site")],
     [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors"),
      ("Sec-Fetch-Dest", "image")],
     [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"),
      ("Sec-Fetch-Dest", "iframe")]],
)  # fmt: skip
def test_other_pages_are_refused(page, headers):
    for path in ("", "api/about", "image/x/matched/0.0"):
        status, answered, _ = get(page, path, *headers)
        assert status == 403 and "access-control-allow-origin" not in answered


def test_a_link_from_elsewhere_opens_the_page_and_its_own_requests_are_answered(page):
    own = ("Origin", f"http://{urlsplit(page.address).netloc}")
    clicked = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"),
               ("Sec-Fetch-Dest", "document")]  # fmt: skip
    assert get(page, "", *clicked)[0] == 200
    assert get(page, "api/about", own, ("Sec-Fetch-Site", "same-origin"))[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/about", "/x/api/about", "//api/about", "/favicon.ico"])
def test_without_the_token_nothing_is_served(page, path):
    status, _, body = raw(page, path, [host(page)])
    assert status == 403 and b"token" in body and base(page).strip("/").encode() not in body


def test_a_wrong_token_is_refused_whatever_follows_it(page):
    right = base(page).strip("/")
    for wrong in (right[:-1], f"{right}x", right.swapcase(), "..", f"./{right}", f"%2e/{right}",
                  f"{right[:-1]}%{ord(right[-1]):02x}"):  # fmt: skip
        assert raw(page, f"/{wrong}/api/about", [host(page)])[0] == 403, wrong


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_allowed(page, method):
    status, headers, _ = raw(page, f"{base(page)}api/about", [host(page)], method)
    assert status == 405 and headers["allow"] == "GET, HEAD"


TRICKS = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "api/../../plan.json",
    "api/about/../../../matched/plan.json", "image/x/../../../../etc/passwd", "api/%2e%2e",
    "image/{state}/../0.0", "image/{state}/..%2fmatched/0.0", "image/{state}/matched/../../x",
    "image/{state}/matched/0.0%00.jpg", "image/{state}/matched/-1.0", "image/{state}/matched/0.1e9",
    "image/{state}/matched/٠.٠", "matched/plan.json", "browse.js", "page_files/base.js", "api/",
    "api", "static/x", "\\..\\..\\x", "file:///etc/passwd", "image/{state}/matched/0.0?size=/etc",
    "api/pairs?set=../../matched", "api/pairs?after=../0", "api/entry?lang=../../en&id=0",
    "api/entries?lang=%2Fetc%2Fpasswd", "api/pairs?column=../x&is=1", "api/why?pair=../../x",
    "api/what-if?t.../x=5", "api/why?lang=../../x&text=a",
)  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_no_address_leads_to_a_file(page, workspace, trick):
    state = json.loads(get(page, "api/about")[2])["state"]
    path = base(page) + trick.format(state=state).encode().decode("latin-1")
    status, headers, body = raw(page, path, [host(page)])
    assert status in (400, 403, 404), body
    assert b"root:" not in body and b"schema_version" not in body and b"Traceback" not in body
    assert headers["content-type"].startswith(("application/json", "text/plain"))


def test_errors_say_what_and_not_where_in_the_program(page, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setitem(
        sys.modules["curate.pipelines.browse.web.server"].ANSWERS, "entries", broken
    )
    status, _, body = get(page, "api/entries")
    assert status == 500 and b"secret" not in body and b"Traceback" not in body
    assert get(page, "api/about")[0] == 200


def test_images_come_from_the_state_that_is_asked_for(page):
    state = json.loads(get(page, "api/about")[2])["state"]
    status, headers, body = get(page, f"image/{state}/matched/0.0")
    assert status == 200 and headers["content-type"] == "image/jpeg" and body[:2] == b"\xff\xd8"
    assert "private" in headers["cache-control"]
    status, _, body = get(page, "image/before/matched/0.0")
    assert status == 409 and json.loads(body)["changed"]
    assert get(page, f"api/pairs?state={state}")[0] == 200
    assert json.loads(get(page, "api/pairs?state=before")[2])["changed"]


def test_after_a_change_no_image_of_before_is_shown(tmp_path):
    path = tmp_path / "00000.tar"
    write_tar(path, {"a.txt": "x", "a.jpg": picture("red", "circle")})
    with curate.browse(path, workspace=tmp_path, quiet=True) as page:

        def image():
            answer = {"busy": True}
            while "busy" in answer:
                answer = json.loads(get(page, "api/about")[2])
            return get(page, f"image/{answer['state']}/files/0.0")[2]

        before = image()
        write_tar(path, {"a.txt": "x", "a.jpg": picture("blue", "square")})
        assert image() != before and image()[:2] == b"\xff\xd8"


def test_a_long_request_is_refused_and_a_long_text_is_answered(page):
    assert get(page, "api/why?lang=en&text=" + "a%20" * 1000)[0] == 200
    assert get(page, "api/why?lang=en&text=" + "a" * 5000)[0] == 400


def test_a_port_in_use_and_no_port_are_told(page, workspace):
    port = urlsplit(page.address).port
    with pytest.raises(CurateError, match=rf"--port {port} on 127.0.0.1: .*Choose another"):
        curate.browse(workspace=workspace, port=port, quiet=True)
    for wrong in (-1, 70000):
        with pytest.raises(UsageError, match="--port is"):
            curate.browse(workspace=workspace, port=wrong, quiet=True)


def test_a_port_in_use_is_told_before_an_index_is_made_for_it(tmp_path):
    folder = write_world(tmp_path, num=16)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CurateError, match="in use"):
            curate.browse(workspace=folder, port=taken.getsockname()[1], quiet=True)
    assert not (folder / ".curate/matched/browse").exists()


def test_missing_packages_are_named_with_their_extra(workspace, monkeypatch):
    found = stage.find_spec
    monkeypatch.setattr(stage, "find_spec", lambda n: None if n == "uvicorn" else found(n))
    with pytest.raises(MissingExtraError, match=r"\[browse\]"):
        curate.browse(workspace=workspace, quiet=True)


def test_a_dry_run_serves_and_writes_nothing(tmp_path):
    folder = write_world(tmp_path, num=16)
    found = curate.browse(folder / "matched", dry_run=True)
    assert found.kind == "workspace" and "address" not in found
    assert "matched" in str(found) and not (folder / ".curate/matched/browse").exists()


def test_the_command_prints_the_address_serves_and_ends_when_interrupted(workspace):
    command = [sys.executable, "-m", "curate", "browse", "-w", str(workspace), "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ}) as process:  # fmt: skip
        address = json.loads(process.stdout.readline())["address"]
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
        connection.request("GET", f"{urlsplit(address).path}api/about")
        assert json.loads(connection.getresponse().read())["kind"] == "workspace"
        connection.close()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0 and errors == ""


def test_a_browser_is_given_a_file_of_its_user_alone_and_no_token(page, monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(opening.webbrowser, "open", lambda url: asked.append(url) or len(asked) > 1)
    for is_there in (False, True):
        caplog.clear()
        with caplog.at_level("INFO", "curate"), opening.shown_in_browser(page.address):
            path = Path(url2pathname(urlsplit(asked[-1]).path))
            assert urlsplit(asked[-1]).scheme == "file" and base(page).strip("/") not in asked[-1]
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
            assert f'content="0; url={page.address}"' in path.read_text()
        assert ("no browser was found" in caplog.text) is not is_there
        assert not path.parent.exists()
