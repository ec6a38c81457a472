import bz2
import io
import random

import pytest

from curate.metadata.wikipedia import bz2_blocks
from curate.metadata.wikipedia.bz2_blocks import BlockError, is_bz2, read_blocks


def noise(num, seed=0):
    return random.Random(seed).randbytes(num)


@pytest.fixture(scope="module")
def streams():
    """Streams of several blocks, one block, nothing, and of other sizes of blocks."""
    contents = [noise(250_000), b"", b"abc" * 900_000, b"x", noise(2_000_000, 1)]
    files = [bz2.compress(c, level) for c, level in zip(contents, (1, 9, 1, 5, 9), strict=True)]
    return b"".join(contents), b"".join(files)


@pytest.mark.parametrize("step", [997, 50_000, 1_000_000, 10_000_000])
def test_parts_of_any_size_give_the_whole(streams, step):
    content, file = streams
    if step < 1000:
        file, content = bz2.compress(content[:250_000], 1), content[:250_000]
    starts = range(0, len(file), step)
    parts = [b"".join(read_blocks(io.BytesIO(file), start, start + step)) for start in starts]
    assert b"".join(parts) == content
    assert b"".join(read_blocks(io.BytesIO(file), 0)) == content


def test_a_mark_that_stands_in_a_block_by_chance_is_read_over(monkeypatch):
    file = bz2.compress(noise(50_000))
    marks = bz2_blocks._Window.marks

    def marks_and_one_by_chance(window):
        for bit, is_block in marks(window):
            yield bit, is_block
            if is_block:
                yield bit + 80_000, True

    monkeypatch.setattr(bz2_blocks._Window, "marks", marks_and_one_by_chance)
    assert b"".join(read_blocks(io.BytesIO(file), 0)) == noise(50_000)


@pytest.mark.parametrize("cut", [4, 100, -1, -10, -60_000])
def test_a_file_that_was_cut_off_is_told(streams, cut):
    with pytest.raises(BlockError, match="damaged|missing"):
        list(read_blocks(io.BytesIO(streams[1][:cut]), 0))


def test_a_changed_bit_is_told(streams):
    file = bytearray(streams[1])
    file[len(file) // 2] ^= 4
    with pytest.raises(BlockError):
        list(read_blocks(io.BytesIO(bytes(file)), 0))


def test_a_hole_is_told_without_taking_in_the_rest(streams):
    file = streams[1][:100_000] + bytes(20_000_000) + streams[1][100_000:]
    with pytest.raises(BlockError):
        list(read_blocks(io.BytesIO(file), 0))


def test_what_is_bz2_is_told_by_its_beginning():
    assert is_bz2(b"BZh91AY") and not is_bz2(b"BZh0") and not is_bz2(b"PK") and not is_bz2(b"")
