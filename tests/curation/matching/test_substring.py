"""Lines that hold a string, against Python's own search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.curation.matching.normalize import token_places, tokens
from curate.curation.matching.substring import lines_with, rarest_places

LINES = st.lists(st.text("abc é", max_size=90), min_size=1, max_size=60)


def expected(lines, needle):
    begins, ends = needle.startswith("\n"), needle.endswith("\n") and len(needle) > 1
    inner = needle.strip("\n")
    return [
        i for i, line in enumerate(lines)
        if (line == inner if begins and ends else line.startswith(inner) if begins
            else line.endswith(inner) if ends else inner in line)
    ]  # fmt: skip


@given(LINES, st.text("abcé", min_size=1, max_size=4), st.sampled_from(["{}", "\n{}", "\n{}\n"]))
def test_lines_are_those_that_python_finds(lines, inner, form):
    needle = form.format(inner)
    data = np.frombuffer(("\n" + "".join(f"{line}\n" for line in lines)).encode(), np.uint8)
    places = rarest_places(needle.encode(), np.bincount(data, minlength=256))
    assert lines_with(data, needle.encode(), places).tolist() == expected(lines, needle)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 128, 200])
def test_a_string_is_found_wherever_it_stands_in_long_data(length):
    for at in range(length):
        line = "x" * at + "yz" + "x" * (length - at)
        data = np.frombuffer(f"\n{line}\n{line}\n".encode(), np.uint8)
        assert lines_with(data, b"yz", (0, 1)).tolist() == [0, 1]


@given(st.text(max_size=40))
def test_places_of_tokens_are_where_the_tokens_stand(text):
    places = token_places(text)
    if places is not None:
        assert [text[start:stop] for start, stop, _ in places] == tokens(text)
        assert all(length == stop - start for start, stop, length in places)
