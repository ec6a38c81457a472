"""`curate warm-up`, what a command says while it compiles, and what it does not load."""

import json
import os
import re
import subprocess
import sys

import pytest

import curate
from curate.compiled import notice, on_site
from curate.compiled.kernel import KERNELS
from curate.compiled.shipped import shipped
from curate.pipelines.warm_up.exercise import EXERCISES
from tests.conftest import ROOT
from tests.make_kernels import sources
from tests.pipelines.helpers import write_metadata, write_pairs

# A command line in a process whose kernels are not shipped, and whose one kernel is soon compiled.
_ON_SITE = """
import sys
from curate.compiled import kernel, shipped
nothing = shipped.Shipped("", {}, "this processor lacks avx2")
kernel.shipped_routines = lambda _name: {}
shipped.shipped = lambda: nothing
if sys.argv.pop(1) == "no folder":
    import numba
    usual = numba.njit
    def njit(*args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return usual(*args, **options)
    numba.njit = njit
from curate.curation.matching.unit_hashes import hash_fingerprint
from curate.pipelines.views.progress import shown_on_terminal
with shown_on_terminal():
    hash_fingerprint()
from curate.compiled.notice import seconds_of_compiling
print(seconds_of_compiling() > 0)
"""


def _said(tmp_path, how):
    return subprocess.run(
        [sys.executable, "-c", _ON_SITE, how], capture_output=True, text=True, check=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}, cwd=ROOT,
    )  # fmt: skip


def test_compiling_is_said_once_and_what_is_kept_is_not_compiled_again(tmp_path):
    first, second = _said(tmp_path, "kept"), _said(tmp_path, "kept")
    line = "compiling for this processor, once: about 30 s (this processor lacks avx2)\n"
    assert (first.stderr, first.stdout) == (line, "True\n")
    assert (second.stderr, second.stdout) == ("", "False\n")


@pytest.mark.slow
def test_that_nothing_can_be_kept_is_said_once(tmp_path):
    for _ in range(2):
        said = _said(tmp_path, "no folder").stderr
        assert said.count("\n") == 1
        assert said.startswith("compiling for this processor: about 30 s (")
        assert (
            "there is no folder for it that can be written. Name one with NUMBA_CACHE_DIR" in said
        )


@pytest.mark.slow
def test_a_folder_of_another_version_or_cut_off_is_compiled_anew(tmp_path):
    _said(tmp_path, "kept")
    files = [path for path in (tmp_path / "cache").rglob("*.nb?") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:40])
    assert _said(tmp_path, "kept").stdout == "True\n"
    assert _said(tmp_path, "kept").stdout == "False\n"


@pytest.mark.slow
def test_two_processes_share_a_folder_at_once(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    both = [
        subprocess.Popen([sys.executable, "-c", _ON_SITE, "kept"], env=environment, cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        out, errors = process.communicate()
        assert process.returncode == 0 and out in ("True\n", "False\n"), errors
    assert _said(tmp_path, "kept").stdout == "False\n"


def test_warm_up_says_what_is_ready(capsys):
    found = curate.warm_up(quiet=True)
    assert found.shipped == shipped().kind and found.why_not == shipped().why_not
    assert found.compiling_s == round(notice.seconds_of_compiling(), 1)
    assert str(found).startswith("all kernels are ready: ") or found.not_kept
    assert capsys.readouterr() == ("", "")


def test_warm_up_says_where_it_is_in_vain(monkeypatch):
    monkeypatch.setattr(notice, "_not_kept", ["No space left on device"])
    found = curate.warm_up(quiet=True)
    assert found.not_kept == "No space left on device"
    assert "every process will do it again" in str(found) and "NUMBA_CACHE_DIR" in str(found)


def test_every_kernel_that_python_calls_is_exercised():
    code = (
        "from curate.compiled import kernel\n"
        "from curate.pipelines.warm_up.exercise import EXERCISES\n"
        "called = set(); usual = kernel.Kernel.__call__\n"
        "def noted(self, *args):\n"
        "    called.add(self.name)\n"
        "    return usual(self, *args)\n"
        "kernel.Kernel.__call__ = noted\n"
        "for exercise in EXERCISES.values(): exercise()\n"
        "print(*sorted(called), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    called = set(done.stdout.split())
    inner = _called_by_kernels()
    assert EXERCISES and called
    for name in KERNELS:
        if name.startswith("curate."):
            assert name in called or name.rpartition(".")[2] in inner, name


def _called_by_kernels():
    """Return the names of the functions that functions of compiled code call."""
    found = set()
    for name in sources():
        text = (ROOT / "curate" / name).read_text("utf-8")
        for body in re.findall(
            r"^@(?:compiled|inlined)\n(def .*?)(?=^[^\s)]|\Z)", text, re.M | re.S
        ):
            found |= set(re.findall(r"(?<!def )\b(\w+)\(", body))
    return found


def test_numba_compiles_one_at_a_time_and_inner_functions_count_with_the_outermost():
    watch, before = on_site._Watch(), notice.seconds_of_compiling()
    for step in (watch.on_start, watch.on_start, watch.on_end):
        step(None)
    assert notice.seconds_of_compiling() == before
    watch.on_end(None)
    assert notice.seconds_of_compiling() > before


_LOADED = """
import atexit, sys
atexit.register(lambda: print([m for m in ('numba', 'pandas') if m in sys.modules]))
"""
_BROWSE = """
from curate.pipelines.browse.places import find_place
from curate.pipelines.browse.session import Session
from curate.pipelines.store.workspace import Workspace
session = Session(find_place(sys.argv[1], Workspace(sys.argv[1])))
assert session.open().index.entries.search("dog").num == 2
session.close()
"""


def test_a_command_loads_neither_the_compiler_nor_pandas(tmp_path):
    if not shipped().kind:
        pytest.skip(shipped().why_not)
    write_metadata(tmp_path / "metadata", {"en": ["red dog", "dog"], "de": ["Hund"]})
    texts = ["a red dog runs in the park", "the dog is on the grass"]
    write_pairs(tmp_path / "in.parquet", texts)

    command = "from curate.cli.main import main\nmain()"

    def run(code, *words):
        done = subprocess.run([sys.executable, "-c", _LOADED + code, *map(str, words)],
                              capture_output=True, text=True, check=True, cwd=ROOT)  # fmt: skip
        *result, loaded = done.stdout.splitlines()
        assert "numba" not in loaded, words
        # What is no command, as here the page's index, may load pandas: pyarrow does.
        assert code is not command or words[0] == "diff" or loaded == "[]", words
        return json.loads(result[0]) if result else None

    in_it = ("-w", tmp_path, "--json")
    assert run(command, "match", tmp_path / "in.parquet", *in_it)["matched"] == 2
    run(command, "balance", "--t", 1, *in_it)
    run(command, "yield", *in_it)
    run(command, "card", *in_it)
    run(command, "diff", tmp_path / "balanced", tmp_path / "matched", "--json")
    run(_BROWSE, tmp_path)


def test_compiling_is_left_out_of_the_rate(capsys, monkeypatch):
    from curate.cli.output import finish

    class Found(dict):
        def table(self, *, colour):
            del colour
            return "found"

    monkeypatch.setattr(notice, "_seconds", [3600.0])
    finish(lambda: Found(read=5), as_json=False, quiet=False)
    assert re.search(r"^0\.0 s, 5,000 records/s without 3600\.0 s of compiling$",
                     capsys.readouterr().out, re.M)  # fmt: skip
