import io
import sys
import threading
import time

import pytest

from curate.errors import FetchError
from curate.pipelines.build_metadata import prefetch
from curate.pipelines.build_metadata.prefetch import AHEAD, ByteBar, Prefetched


class Fetcher:
    def __init__(self):
        self.stopped = threading.Event()

    def stop(self):
        self.stopped.set()


def test_tasks_come_in_order_and_are_made_ready_a_few_at_a_time():
    begun = []

    def prepare(plan):
        begun.append(plan)
        time.sleep(0.001 * (10 - plan))
        return plan * 10

    tasks = Prefetched(range(10), prepare, Fetcher())
    assert len(tasks) == 10
    for taken, task in enumerate(tasks, start=1):
        assert task == (taken - 1) * 10
        assert len(begun) <= taken + AHEAD
    assert sorted(begun) == list(range(10))
    assert tasks[3] == 30 and list(tasks[8:]) == [80, 90]


def test_nothing_to_do():
    assert list(Prefetched([], str, Fetcher())) == []


def test_an_error_comes_in_its_turn_and_stops_what_is_under_way():
    fetcher = Fetcher()

    def prepare(plan):
        if plan == 1:
            raise FetchError("gone")
        if plan == 2:
            assert fetcher.stopped.wait(5)
        return plan

    seen = []
    with pytest.raises(FetchError, match="gone"):
        for task in Prefetched(range(5), prepare, fetcher):
            seen.append(task)
    assert seen == [0] and fetcher.stopped.is_set()


def test_whoever_stops_taking_stops_the_downloads():
    fetcher = Fetcher()
    tasks = iter(Prefetched(range(5), str, fetcher))
    next(tasks)
    tasks.close()
    assert fetcher.stopped.is_set()


def test_a_run_to_the_end_leaves_the_fetcher_alone():
    fetcher = Fetcher()
    assert list(Prefetched(range(3), str, fetcher)) == ["0", "1", "2"]
    assert not fetcher.stopped.is_set()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bytes_are_shown_as_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = ByteBar(3_000_000, "fetch", quiet=False)
    bar.add(1_500_000)
    time.sleep(0.15)  # it is not drawn more often than ten times a second
    bar.add(1_500_000)
    bar.close()
    assert "fetch" in terminal.getvalue() and "3.00M/3.00M" in terminal.getvalue()


def test_bytes_are_lines_elsewhere_and_nothing_when_quiet(monkeypatch, capsys):
    monkeypatch.setattr(prefetch, "_SECONDS_BETWEEN_LINES", 0.0)
    for quiet in (True, False):
        bar = ByteBar(3_000_000, "fetch", quiet=quiet)
        bar.add(1_500_000)
        bar.close()
    assert capsys.readouterr().err == "fetch: 1.5 MB of 3.0 MB\n"
