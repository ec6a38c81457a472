import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.training.tars import kernels as k
from curate.training.tars.members import MappedTar, _PassingTar, scan
from tests.training.shard_files import sample, write_tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def mapped(content):
    return MappedTar(np.frombuffer(content, np.uint8))


def passing(content):
    return _PassingTar(io.BytesIO(content), len(content))


def scanned(source):
    members = scan(source)
    if isinstance(source, _PassingTar):
        source.close()
    return members


def found(source):
    members = scan(source)
    places = members.table[:, [k.CONTENT, k.SIZE]].tolist()
    names = [members.name(source, i).decode() for i in range(len(places))]
    if isinstance(source, _PassingTar):
        source.close()
    return [(name, *place) for name, place in zip(names, places, strict=True)], members.problem


def packed(names, format):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 37 * number
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


NAMES = st.lists(
    st.text("ab./é", min_size=1, max_size=12).filter(lambda n: n.strip("/.") and n[-1] != "/")
    | st.just("long/" * 18 + "name.txt" * 8),
    max_size=6,
)


@given(names=NAMES, format=st.sampled_from(FORMATS))
@settings(max_examples=60, deadline=None)
def test_both_readers_find_what_tarfile_finds(names, format):
    try:
        content = packed(names, format)
    except ValueError:  # ustar takes no such name
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar]
    assert found(mapped(content)) == (expected, None)
    assert found(passing(content)) == (expected, None)


@pytest.mark.parametrize("format", FORMATS)
def test_every_flipped_bit_of_a_header_is_noticed(format, tmp_path):
    path = tmp_path / "0.tar"
    write_tar(path, [sample(str(i)) for i in range(3)], format=format)
    whole = path.read_bytes()
    at = int(scan(mapped(whole)).table[4, k.HEADER])
    num_before = 4
    for bit in range(0, 512 * 8, 7):
        content = bytearray(whole)
        content[at + bit // 8] ^= 1 << bit % 8
        for source in (mapped(bytes(content)), passing(bytes(content))):
            members = scanned(source)
            # The blank beside the checksum's digits is the one place that says nothing.
            harmless = 148 <= bit // 8 < 156 and members.problem is None
            assert harmless or len(members.table) == num_before
            assert harmless or "damaged at byte" in str(members.problem)


def test_a_zeroed_first_byte_is_no_end_of_the_archive(tmp_path):
    path = tmp_path / "0.tar"
    write_tar(path, [sample("@1"), sample("@2")])
    content = bytearray(path.read_bytes())
    at = int(scan(mapped(bytes(content))).table[2, k.HEADER])
    content[at] = 0
    for source in (mapped(bytes(content)), passing(bytes(content))):
        assert "damaged" in str(scanned(source).problem)


def test_tars_one_behind_the_other_are_read_and_other_bytes_are_told(tmp_path):
    first = packed(["a.txt", "b.txt"], tarfile.USTAR_FORMAT)
    second = packed(["c.txt"], tarfile.PAX_FORMAT)
    for make in (mapped, passing):
        names, problem = found(make(first + second))
        assert [n for n, *_ in names] == ["a.txt", "b.txt", "c.txt"] and problem is None
        names, problem = found(make(first + b"no tar" * 200))
        assert len(names) == 2 and "bytes behind the end" in str(problem)


def test_a_tar_that_is_cut_off_says_where(tmp_path):
    content = packed(["a.txt", "b.txt", "c.txt"], tarfile.USTAR_FORMAT)
    for size in (0, 100, 512, 1024 + 20, 2048):
        for make in (mapped, passing):
            assert "cut off" in str(found(make(content[:size]))[1])


def test_texts_of_a_tar_that_passes_by_are_kept():
    content = packed(["a.jpg", "a.txt", "b.txt"], tarfile.USTAR_FORMAT)
    file = io.BytesIO(content)
    source = _PassingTar(file, len(content))
    members = scan(source)
    file.seek(0)
    file.truncate()
    at, size = members.table[2, [k.CONTENT, k.SIZE]].tolist()
    assert source.read(at, size) == b"x" * 74
    source.close()
