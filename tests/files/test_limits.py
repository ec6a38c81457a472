import errno
import resource
from pathlib import Path

import pytest

import curate
from curate.errors import CurateError, DiskSpaceError
from curate.files.limits import room_for_connections, told_of_limits


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENOSPC, "full", "/x/y"), DiskSpaceError, "/x/y: the disk is full"),
        (OSError(errno.EDQUOT, "quota"), DiskSpaceError, "disk that is written to"),
        (OSError(errno.EMFILE, "many"), CurateError, "ulimit -n"),
        (RuntimeError("can't start new thread"), CurateError, "fewer --workers"),
    ],
)
def test_a_limit_of_the_machine_says_what_to_do(error, kind, words):
    with pytest.raises(kind, match=words), told_of_limits():
        raise error


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), RuntimeError("other")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=str(error.args[-1])), told_of_limits():
        raise error


def test_connections_fit_into_the_limit_of_open_files(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert 1 <= room_for_connections(1000) < 96 and room_for_connections(3) == 3
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8, 8))
    assert room_for_connections(1000) == 1
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert room_for_connections(1000) == 1000


@pytest.mark.parametrize("place", ["a file", "in a file", "no parent"])
def test_a_workspace_that_cannot_be_used_is_a_line(tmp_path, place):
    (tmp_path / "file").write_text("x")
    (tmp_path / "entries.txt").write_text("dog\n")
    folder = {"a file": tmp_path / "file", "in a file": tmp_path / "file/data",
              "no parent": Path("/proc/none/data")}[place]  # fmt: skip
    with pytest.raises(
        curate.CurateError, match="xpected (a|the) folder (that this user may write|of a workspace)"
    ):
        curate.build_metadata(
            lang="en", sources="none", entries=str(tmp_path / "entries.txt"), workspace=folder
        )
