"""Scripts without ``if __name__ == "__main__":`` run once, whatever processes they start."""

import bz2
import json
import subprocess
import sys
from pathlib import Path

import pytest

from curate.errors import CurateError
from curate.pipelines.extract.page_watch import PageWatch
from curate.pipelines.extract.pages import PageOptions
from curate.pipelines.extract.records import CrawlRecord
from tests.metadata.export_xml import document, page
from tests.pipelines.crawl_helpers import PAGE_URL, response, write_crawl
from tests.pipelines.parser_stand_in import large

ROOT = Path(__file__).parents[2]
BEGUN = "print('begun', flush=True)\n"

EXTRACT = """
import curate
found = curate.extract("big.warc", workspace="w")
print(found.pairs, found.records["read"], found.records["skipped"])
"""
MATCH = """
import curate
print(curate.match("in", workspace="w", metadata={"en": ["dog"]}, lang="en", workers=2,
                   filter="mine:keep").matched)
"""
COUNT = """
from pathlib import Path
from curate.metadata.corpus.count import count_corpus
with count_corpus("en", ["0.xml.bz2", "1.xml.bz2"], Path("w"), memory_bytes=1 << 30, workers=2,
                  needs_words=True) as corpus:
    print(corpus.pages["article"])
"""
POOL = """
import os
from concurrent.futures import wait
from curate.files.processes import worker_pool
with worker_pool(2) as pool:
    print(pool.submit(os.getpid).result() != os.getpid())
"""


def run(folder, script, **environment):
    (folder / "job.py").write_text(BEGUN + script)
    done = subprocess.run(
        [sys.executable, "job.py"], capture_output=True, text=True, cwd=folder, check=False,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    begun, *rest = done.stdout.splitlines()
    assert begun == "begun" and "Traceback" not in done.stderr
    return rest


def test_large_pages_are_not_lost(tmp_path):
    body = b"<html><body>" + b"<p><i>x</i></p>" * 6000 + b'<img src="a.jpg" alt="a dog">'
    write_crawl(tmp_path / "big.warc", [response(body)], compressed=False)
    assert run(tmp_path, EXTRACT) == ["1 1 {}"]


def test_workers_of_match_import_filters_and_not_the_script(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        lines = (json.dumps({"text": f"a dog {name}{n}"}) for n in range(9))
        (tmp_path / f"in/{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "mine.py").write_text("def keep(batch):\n    return [True] * batch.num_rows\n")
    assert run(tmp_path, MATCH) == ["18"]


def test_processes_that_count_words_do_not_run_the_script(tmp_path):
    for name in "01":
        dump = document(*(page(10 * n, f"T{name} {n}", text="a red dog") for n in range(1, 4)))
        (tmp_path / f"{name}.xml.bz2").write_bytes(bz2.compress(dump.encode()))
    assert run(tmp_path, COUNT) == ["6"]


def test_a_pool_leaves_the_script_alone(tmp_path):
    assert run(tmp_path, POOL) == ["True"]


def test_a_child_that_does_not_start_is_no_fault_of_the_page(monkeypatch):
    watch = PageWatch(PageOptions(), parse=_Unknown())
    with pytest.raises(CurateError, match="exit code 1 before it began"):
        watch.rows(CrawlRecord(offset=0, is_wat=False, page_url=PAGE_URL, body=large("nothing")))
    watch.close()


class _Unknown:
    """A function that nobody can load where it is sent to."""

    def __reduce__(self):
        return (_missing, ())


def _missing():
    raise ImportError("not here")
