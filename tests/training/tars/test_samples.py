import io
import tarfile

import numpy as np
import pytest

from curate.training.tars.members import MappedTar, scan
from curate.training.tars.samples import find_samples


def samples_of(*names):
    """The samples of a tar: key, suffixes and, of image, text and JSON, the name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    source = MappedTar(np.frombuffer(out.getvalue(), np.uint8))
    members = scan(source)
    samples = find_samples(members)
    parts = (samples.image, samples.text, samples.json)
    return [
        (
            samples.key(source, i),
            *(names[part[i]] if part[i] >= 0 else None for part in parts),
            bool(samples.is_unclear[i]),
        )
        for i in range(len(samples))
    ]


CASES = [
    ("neighbours", ["a.jpg", "a.txt", "b.txt", "b.json"],
     [("a", "a.jpg", "a.txt", None, False), ("b", None, "b.txt", "b.json", False)]),
    ("a folder is part of the key", ["x/a.jpg", "x/a.txt", "y/a.jpg", "y/a.txt"],
     [("x/a", "x/a.jpg", "x/a.txt", None, False), ("y/a", "y/a.jpg", "y/a.txt", None, False)]),
    ("a leading point and slash are not", ["./a.jpg", "./a.txt"],
     [("a", "./a.jpg", "./a.txt", None, False)]),
    ("no neighbours", ["a.jpg", "b.jpg", "a.txt", "b.txt"],
     [("a", "a.jpg", "a.txt", None, False), ("b", "b.jpg", "b.txt", None, False)]),
    ("one tar behind another", ["a.jpg", "a.txt", "b.txt", "a.jpg", "a.txt"],
     [("a", "a.jpg", "a.txt", None, False), ("b", None, "b.txt", None, False),
      ("a", "a.jpg", "a.txt", None, False)]),
    ("the same key twice, as neighbours", ["a.jpg", "a.txt", "a.jpg", "a.txt"],
     [("a", "a.jpg", "a.txt", None, False)] * 2),
    ("which text is whose, nobody can tell", ["a.jpg", "b.txt", "a.jpg", "a.txt"],
     [("a", None, None, None, True), ("b", None, "b.txt", None, False)]),
    ("two suffixes", ["a.input.jpg", "a.outputs.txt"],
     [("a", "a.input.jpg", "a.outputs.txt", None, False)]),
    ("the suffix itself goes first", ["a.seg.png", "a.jpeg", "a.old.txt", "a.TXT"],
     [("a", "a.jpeg", "a.TXT", None, False)]),
    ("points in the key", ["a.01.jpg", "a.01.txt", "a.02.jpg", "a.02.txt"],
     [("a", None, None, None, True)]),
    ("what is no data", ["._a.jpg", "a.jpg", "__MACOSX/._a.txt", ".DS_Store", "a.txt", "README",
                         ".ipynb_checkpoints/a.txt"],
     [("a", "a.jpg", "a.txt", None, False)]),
    ("other suffixes", ["a.cls", "a.npy"], [("a", None, None, None, False)]),
    ("nothing", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_members_of_a_key_are_a_sample(names, expected):
    assert samples_of(*names) == expected


def test_many_samples_that_are_no_neighbours_are_joined():
    keys = [f"{i:05d}" for i in range(3000)]
    found = samples_of(*(f"{k}.jpg" for k in keys), *(f"{k}.txt" for k in reversed(keys)))
    assert found == [(k, f"{k}.jpg", f"{k}.txt", None, False) for k in keys]
