"""A browser as the judge of which images a page shows, and of their addresses."""

import html
import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from curate.pipelines.extract.encoding import decode_page
from curate.pipelines.extract.html import parse_page, srcset_addresses
from curate.pipelines.extract.records import CrawlRecord, read_records
from curate.pipelines.extract.urls import BaseAddress, parse_address
from tests.pipelines.extract.test_crawl_pages import CANDIDATES, CRAWL_FILES, TRICKY

ADDRESSES = """<!doctype html><base href="/x/y/"><img src=" a b.png "><img src='\\img\\b.png'><img
src='c\td\n.png'><img src='//cdn.example/e.png#f'><img src='http://b&uuml;cher.example/&auml;'><img
src='HTTP://EXAMPLE.example:80/./g/../h%20i?j k'><img src='&#0;k.png'><img src='?l'><img
src='java&#10;script:1'><img src='http://[m/'><img src=''><img src='http:n.png'><img
src='../../../o.png'><img src='http://0x7f.1/p.png'><img src='q.png?r=1&copy=2&lt;'>"""
HARNESS = """<!doctype html><script>
const shown = frame => [...frame.contentDocument.images].filter(
  i => i.getAttribute("src") || i.dataset.candidate);
const address = i => i.dataset.candidate ? i.currentSrc : i.src;
onload = () => { document.documentElement.textContent = JSON.stringify(
  [...document.querySelectorAll("iframe")].map(frame => shown(frame).map(address))); };
</script>"""


@pytest.fixture
def server():
    """A loopback server of pages, whose scripts do not run; / shows all of them in frames."""
    pages: list[tuple[bytes, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            number = self.path[1:]
            if not number:
                frames = "".join(f"<iframe src=/{i}></iframe>" for i in range(len(pages)))
                self.answer((HARNESS + frames).encode(), "utf-8")
            elif number.isdecimal() and int(number) < len(pages):
                self.answer(*pages[int(number)], script="script-src 'none'")
            else:
                self.send_error(404)

        def answer(self, body, charset, script=None):
            self.send_response(200)
            self.send_header(
                "Content-Type", f"text/html; charset={charset}" if charset else "text/html"
            )
            self.send_header("Content-Length", str(len(body)))
            if script:
                self.send_header("Content-Security-Policy", script)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield pages, f"http://127.0.0.1:{serving.server_port}/"
    serving.shutdown()
    serving.server_close()
    thread.join()


def shown(url, profile):
    """The addresses of the images of each page, as Chromium has them."""
    found = subprocess.run(
        [shutil.which("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
         f"--user-data-dir={profile}", "--virtual-time-budget=20000",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", url],
        capture_output=True, timeout=120, check=True,
    ).stdout.decode()  # fmt: skip
    return json.loads(html.unescape(re.search(r"\[\[.*\]\]", found, re.DOTALL).group()))


@pytest.mark.slow
def test_every_image_that_a_browser_shows_is_found_under_the_address_it_asks_for(
    server, tmp_path, real_data
):
    if not shutil.which("chromium"):
        pytest.skip("there is no chromium; install Debian's package of that name")
    pages, url = server
    pages += [(TRICKY.encode(), "utf-8"), (ADDRESSES.encode(), "utf-8")]
    pages += [
        (record.body, record.charset)
        for name in CRAWL_FILES
        for record in read_records(str(real_data / "crawl" / name), 1 << 24)
        if isinstance(record, CrawlRecord)
    ]
    by_page = shown(url, tmp_path)
    assert len(by_page) == len(pages) and sum(map(len, by_page)) > 200
    for number, (body, charset) in enumerate(pages):
        found = parse_page(decode_page(body, charset), max_images=10**6)
        base = BaseAddress(parse_address(f"{url}{number}"), found.base_href)
        ours = {base.resolve(written)[0] for image in found.images for written in image.urls}
        asked = {src.partition("#")[0] for src in by_page[number] if parse_address(src)}
        assert asked - ours == set(), pages[number]
    assert len([src for src in by_page[1] if parse_address(src)]) == 12


@pytest.mark.slow
def test_candidates_of_a_srcset_are_those_that_a_browser_takes(server, tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("there is no chromium; install Debian's package of that name")
    pages, url = server
    written = [f"a.png {candidate}" for candidate in CANDIDATES]
    written += ["a.png, b.png", "a.png 1x, b.png 1x", "a.png 2q, b.png 9h, c.png", "a,b.png 1x,"]
    images = "".join(f'<img data-candidate=1 srcset="{html.escape(one)}">' for one in written)
    pages.append((f"<!doctype html>{images}".encode(), "utf-8"))
    (found,) = shown(url, tmp_path)
    ours = [srcset_addresses(one) for one in written]
    assert [src.removeprefix(url) for src in found] == [one[0][0] if one else "" for one in ours]
