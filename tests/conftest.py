"""What all tests share: where the real data is, and that a slow machine fails no property."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from curate.pipelines.views.progress import shown_on_terminal

settings.register_profile("project", deadline=None)
settings.load_profile("project")

# The key that notes are sealed with is made here and not in the home of who runs the tests.
_STATE = tempfile.TemporaryDirectory(prefix="curate-state-")
os.environ["XDG_STATE_HOME"] = _STATE.name

# Two workers with a thread of PyTorch per core each wait for one another: three times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # As in the background of a shell; tests interrupt themselves and what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files of few slow tests, which are the longest: none is left for the end."""
    if config.option.markexpr == "slow":
        num_of = Counter(item.path for item in items)
        items.sort(key=lambda item: num_of[item.path])


@pytest.fixture(autouse=True)
def messages_on_stderr() -> Iterator[None]:
    """Have messages go where the command line shows them."""
    with shown_on_terminal():
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    """Leave out `fsync`, a quarter of the time: no test cuts the power.

    What a killed process has written is there without it. Commands that tests start do wait.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data that the README lists."""
    path = Path(os.environ.get("CURATE_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"{path} is not there; set CURATE_TEST_DATA to the data that the README lists")
    return path


@pytest.fixture(scope="session")
def wordnet_dir() -> Path:
    """Debian's WordNet 3.0 database."""
    path = Path("/usr/share/wordnet")
    if not path.is_dir():
        pytest.skip(f"{path} is not there; install Debian's package wordnet-base")
    return path
