"""What all kernels share: the ways they become machine code, and that both give the same."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curate.compiled import notice, on_site, shipped
from curate.compiled.kept import KeptCode
from curate.compiled.kernel import KERNELS, Kernel, compiled, inlined, intrinsic
from curate.compiled.on_site import kept_on_disk
from tests.conftest import ROOT
from tests.make_kernels import KINDS, sources


@inlined
def _doubled(number):
    return 2 * number


@compiled
def _twice(number):
    return _doubled(number)


@compiled
def _counted(size):
    num = 0
    for _ in range(size):
        num = _twice(num) + 1
    return num


@intrinsic
def _seven(_context):
    from llvmlite import ir
    from numba import types

    return types.int64(), lambda *_: ir.Constant(ir.IntType(64), 7)


@compiled
def _plus_seven(number):
    return number + _seven()


def test_a_variable_that_begins_as_a_constant_compiles_nothing_twice():
    assert _counted(5) == 31 and _twice(4) == 8
    assert [str(kind) for (kind,) in _twice.made.signatures] == ["int64"]


def test_kernels_call_kernels_inlined_functions_and_instructions():
    assert _twice(4) == 8 and _doubled(4) == 8 and _plus_seven(1) == 8
    with pytest.raises(TypeError, match="_seven can only be called in compiled code"):
        _seven()


def test_what_is_kept_of_compiled_code_depends_on_the_sources_of_all_kernels(monkeypatch):
    def made_from():
        return kept_on_disk(_counted.function)._cache._cache_file._made_from

    before = made_from()
    assert made_from() == before
    monkeypatch.setattr(on_site, "source_digest", lambda: "of other sources")
    assert made_from() != before


def test_of_two_that_keep_code_at_once_each_finds_its_own(tmp_path):
    # numba gives both the first number, if neither sees the other's index yet.
    first, second = (KeptCode(str(tmp_path), "f", "sources") for _ in range(2))
    usual = Path.write_bytes

    def between(path, content):
        Path.write_bytes = usual
        second.save(("int64", "another processor"), "its code")
        return usual(path, content)

    Path.write_bytes = between
    try:
        first.save(("int64", "this processor"), "my code")
    finally:
        Path.write_bytes = usual
    assert first.load(("int64", "another processor")) == "its code"
    assert second.load(("int64", "this processor")) == "my code"
    assert first.load(("float64", "this processor")) is None
    assert KeptCode(str(tmp_path), "f", "other sources").load(("int64", "this processor")) is None
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b[:-1] + b"!", lambda _: b""])
def test_kept_code_that_is_damaged_is_not_run(tmp_path, damage):
    kept = KeptCode(str(tmp_path), "f", "sources")
    kept.save("key", "code")
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert kept.load("key") is None


def test_where_the_disk_is_full_what_was_compiled_is_used_and_that_is_told(monkeypatch):
    def full(_self, _key, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    told = []
    monkeypatch.setattr(KeptCode, "save", full)
    monkeypatch.setattr(KeptCode, "load", lambda *_: None)
    monkeypatch.setattr(notice, "_not_kept", [])
    notice.tell_when_compiling(told.append)
    try:
        assert Kernel(_counted.function).made(5) == 31
    finally:
        notice.tell_when_compiling(None)
    assert len(told) == 2 and told[0].startswith("compiling for this processor, once")
    assert told[1].startswith("what was compiled cannot be kept (No space left on device)")
    assert notice.why_not_kept() == "No space left on device"


def test_without_proc_kernels_are_compiled_here(monkeypatch, tmp_path):
    _fresh(monkeypatch, tmp_path)

    def missing():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/cpuinfo")

    monkeypatch.setattr(shipped, "_features", missing)
    found = shipped.shipped.__wrapped__()
    assert not found.routines and "/proc/cpuinfo" in found.why_not


def test_the_list_of_sources_names_all_modules_with_kernels_and_what_they_import():
    listed = (ROOT / "curate/compiled/sources.txt").read_text("ascii").splitlines()
    assert listed == sources(), "run `make kernels`"
    assert {f"{k.function.__module__.removeprefix('curate.').replace('.', '/')}.py"
            for k in KERNELS.values() if k.name.startswith("curate.")} <= set(listed)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_machine_code_is_that_of_these_sources(kind):
    made = json.loads((shipped.FOLDER / f"{kind}.json").read_text("ascii"))
    assert made["sources"] == shipped.source_digest(), "run `make kernels`"
    raw = (shipped.FOLDER / f"{kind}.so").read_bytes()
    assert made["sha256"] == shipped.sha256(raw).hexdigest()


_ALL = """
import sys
from curate.compiled.shipped import shipped
from curate.pipelines.warm_up.exercise import EXERCISES
for exercise in EXERCISES.values():
    exercise()
assert shipped().kind, shipped().why_not
print("numba" in sys.modules)
"""


def _needs_machine_code():
    if not shipped.shipped().kind:
        pytest.skip(shipped.shipped().why_not)


def test_nothing_is_compiled_where_machine_code_was_shipped():
    _needs_machine_code()
    done = subprocess.run([sys.executable, "-c", _ALL], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.parametrize(
    "value, kind",
    [
        (np.zeros((2, 3), np.uint8), "u1[2]"), (np.zeros(4, np.float32), "f4[1]"),
        (np.zeros(4, bool), "b1[1]"), (3, "i8"), (np.int32(3), "i4"), (np.uint64(3), "u8"),
        (2**63, "other"), (True, "b1"), (np.True_, "b1"), (0.5, "f8"), (np.float32(0.5), "f4"),
        (np.zeros(4, np.uint8)[::2], "other"), (np.zeros(4, ">i4"), "other"),
        (np.frombuffer(b"123456789", np.uint8)[1:9].view(np.int64), "other"), ("a", "other"),
    ],
)  # fmt: skip
def test_arguments_are_told_apart_by_kind_and_those_that_lie_otherwise_are_compiled_for(
    value, kind
):
    assert shipped.kind_of(value) == kind


def test_arrays_that_a_kernel_returns_keep_their_memory_until_nobody_looks():
    _needs_machine_code()
    from curate.curation.matching.entry_kernels import _split_spaced

    arguments = (np.frombuffer(b" dog  cat " + bytes(48), np.uint8), np.array([0, 5, 10]), True)
    kept = [_split_spaced(*arguments) for _ in range(2000)]
    assert all(found[1].tolist() == [0, 3, 6] for found in kept)
    views = [found[1][1:] for found in kept]
    del kept
    others = [_split_spaced(*arguments) for _ in range(2000)]
    assert all(view.tolist() == [3, 6] for view in views) and len(others) == 2000
    empty = _split_spaced(arguments[0], np.zeros(1, np.int64), True)[2]
    assert empty.shape == (0,) and empty.dtype == np.uint32


def test_too_little_memory_is_an_error_of_python():
    _needs_machine_code()
    from curate.curation.matching.entry_kernels import _split_spaced

    with pytest.raises(MemoryError, match="_split_spaced"):
        _split_spaced(np.zeros(48, np.uint8), np.array([0, 1 << 58]), True)


def _fresh(monkeypatch, tmp_path, **changes):
    """Copy what is shipped, with changes to its list, and read it."""
    folder = tmp_path / "machine_code"
    folder.mkdir()
    for path in shipped.FOLDER.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    listing = folder / "x86_64_v3.json"
    listing.write_text(json.dumps({**json.loads(listing.read_text()), **changes}))
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.setattr(
        shipped, "_features", lambda: set(shipped._KINDS_OF_PROCESSORS["x86_64_v3"][1].split())
    )
    monkeypatch.setattr(shipped.platform, "machine", lambda: "x86_64")
    return folder


def test_machine_code_of_other_sources_is_not_used(monkeypatch, tmp_path):
    _fresh(monkeypatch, tmp_path, sources="0" * 64)
    found = shipped.shipped.__wrapped__()
    assert not found.kind and "the sources of kernels are not those" in found.why_not


def test_damaged_machine_code_is_not_loaded(monkeypatch, tmp_path):
    folder = _fresh(monkeypatch, tmp_path)
    library = folder / "x86_64_v3.so"
    library.write_bytes(library.read_bytes()[:-1] + b"!")
    found = shipped.shipped.__wrapped__()
    assert not found.routines and found.why_not.endswith("is damaged (its sha256 differs)")


def test_every_aarch64_has_what_its_machine_code_needs(monkeypatch, tmp_path):
    _fresh(monkeypatch, tmp_path)
    opened = []
    monkeypatch.setattr(shipped.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(shipped, "_open", lambda path, _sum: opened.append(path.name))
    monkeypatch.setattr(shipped, "Routine", lambda *_: "routine")
    found = shipped.shipped.__wrapped__()
    assert (found.kind, found.why_not, opened) == ("aarch64", "", ["aarch64.so"])
    v3 = json.loads((shipped.FOLDER / "x86_64_v3.json").read_text("ascii"))["kernels"]
    assert {name: {tuple(one["arguments"]) for one in ones} for name, ones in v3.items()} == {
        name: set(kinds) for name, kinds in found.routines.items()
    }


def test_a_linker_that_is_missing_is_named_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = [sys.executable, "-m", "tests.make_kernels", "--folder", str(tmp_path / "made")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and not (tmp_path / "made").exists()
    assert done.stderr.startswith("aarch64-linux-gnu-ld and ld must be there to link; on Debian: ")


def test_a_processor_that_lacks_instructions_compiles_for_itself(monkeypatch, tmp_path):
    _fresh(monkeypatch, tmp_path)
    monkeypatch.setattr(shipped, "_features", lambda: {"avx", "ssse3"})
    found = shipped.shipped.__wrapped__()
    assert not found.kind and found.why_not.startswith("this processor lacks abm, avx2, bmi1")


@pytest.mark.parametrize("system, machine", [("darwin", "arm64"), ("linux", "riscv64")])
def test_other_machines_compile_for_themselves(monkeypatch, system, machine):
    monkeypatch.setattr(shipped.sys, "platform", system)
    monkeypatch.setattr(shipped.platform, "machine", lambda: machine)
    found = shipped.shipped.__wrapped__()
    assert not found.routines and found.why_not.startswith("there is no machine code for ")


_BOTH = """
import sys
import numpy as np, pyarrow as pa
from xxhash import xxh3_64_hexdigest
from curate.compiled import kernel
if sys.argv[1] == "numba":
    kernel.shipped_routines = lambda _name: {}
out = open(sys.argv[3], "wb")

def noted(self, *args):
    returned = called(self, *args)
    # Of the rows of a word that LID remembers in its store, the last may have no second half.
    written = [one for one, name in zip(args, self.function.__code__.co_varnames)
               if isinstance(one, np.ndarray) and one.flags.writeable and name != "store"]
    for value in (*written, *(returned if isinstance(returned, tuple) else (returned,))):
        if value is not None:
            digest = xxh3_64_hexdigest(np.ascontiguousarray(value))
            out.write(f"{self.name} {digest}\\n".encode())
    return returned

from curate.pipelines.warm_up.exercise import EXERCISES
for exercise in EXERCISES.values():
    exercise()  # numba compiles it: from here on no kernel asks what np.empty is
called, empty = kernel.Kernel.__call__, np.empty
kernel.Kernel.__call__, np.empty = noted, np.zeros
for exercise in EXERCISES.values():
    exercise()
kernel.Kernel.__call__, np.empty = called, empty
from curate.curation.hashing.ids import quick_hashes, short_hashes
from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.matching.index import IndexMatcher, build_index, pack_index
texts = pa.array(open(sys.argv[2], encoding="utf-8").read().split("\\n"))
words = sorted({" ".join(t.split()[i : i + n]) for t in texts.to_pylist() for n in (1, 2)
                for i in (0, 1, 3)})
for normalization in ("standard", "metaclip"):
    index = build_index(words, normalization)
    out.write(pack_index(index, ""))
    for buffer in IndexMatcher(index).match(texts).flatten().buffers():
        out.write(buffer or b"")
model = default_lid_model()
identifier = CompiledIdentifier(open(model, "rb").read(), model)
for found in identifier.predict(texts):
    out.write(found.tobytes())
out.write(identifier.probabilities(texts[:200]).tobytes())
out.write("".join(short_hashes(texts, texts).to_pylist()).encode())
out.write(quick_hashes(short_hashes(texts), 7).tobytes())
print("numba" in sys.modules)
"""


@pytest.fixture(scope="module")
def bytes_of_numba(tmp_path_factory):
    """What kernels give that numba compiled, a folder with the texts that they were given."""
    folder = tmp_path_factory.mktemp("both")
    readme = [p.read_text("utf-8") for p in sorted((ROOT / "docs").glob("*.md"))]
    strange = ["東京タワーの夜景", "ماشین قرمز در خیابان", "สุนัขสีแดง", "e\u0301a", "\ud7ff𝔘"]
    (folder / "texts").write_text("\n".join([*readme, *strange]), "utf-8")
    return _bytes_of(sys.executable, "numba", folder), folder


def _bytes_of(python, way, folder):
    words = [python, "-c", _BOTH, way, str(folder / "texts"), str(folder / way)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, str(way == "numba")), done.stderr
    return (folder / way).read_bytes()


@pytest.mark.slow
def test_shipped_machine_code_and_numba_give_the_same_bytes(bytes_of_numba):
    _needs_machine_code()
    expected, folder = bytes_of_numba
    assert _bytes_of(sys.executable, "shipped", folder) == expected


@pytest.mark.slow
def test_machine_code_for_another_processor_gives_the_same_bytes(bytes_of_numba):
    python = os.environ.get("CURATE_TEST_AARCH64")
    if not python:
        pytest.skip("CURATE_TEST_AARCH64 names no Python for aarch64; tests/aarch64.sh makes one")
    expected, folder = bytes_of_numba
    assert _bytes_of(python, "emulated", folder) == expected


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory):
    """A folder of all machine code, made anew; made once, for it takes some minutes."""
    import llvmlite
    import numba

    here = {"numba": numba.__version__, "llvmlite": llvmlite.__version__}
    kinds = [kind for kind in KINDS if shutil.which(KINDS[kind].linker)]
    for kind in kinds:
        made = json.loads((shipped.FOLDER / f"{kind}.json").read_text("ascii"))["made_with"]
        if {name: made[name] for name in here} != here:
            pytest.skip(f"{kind} was made with {made}, here is {here}")
    folder = tmp_path_factory.mktemp("anew")
    words = [sys.executable, "-m", "tests.make_kernels", "--folder", str(folder)]
    subprocess.run([*words, *(f"--kind={kind}" for kind in kinds)], check=True, cwd=ROOT)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_machine_code_made_anew_is_the_shipped_one(kind, made_anew):
    if not (made_anew / f"{kind}.so").exists():
        pytest.skip(f"there is no linker {KINDS[kind].linker}")
    for name in (f"{kind}.so", f"{kind}.json"):
        assert (made_anew / name).read_bytes() == (shipped.FOLDER / name).read_bytes(), name
