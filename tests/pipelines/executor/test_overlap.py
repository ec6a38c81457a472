"""Working ahead changes when things happen and nothing else."""

import threading
import time

import pytest

from curate.pipelines.executor.overlap import StoppedError, ahead, stop_with
from curate.pipelines.executor.parts import run_parts


def test_items_come_in_order_and_from_another_thread():
    threads = set()

    def items():
        for i in range(20):
            threads.add(threading.get_ident())
            yield i

    assert list(ahead(items())) == list(range(20))
    assert threads and threading.get_ident() not in threads


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("disk on fire")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="disk on fire"):
        next(found)


def test_no_more_than_the_depth_is_made_ahead():
    made = []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    found = ahead(items(), depth=3)
    next(found)
    time.sleep(0.2)
    assert len(made) <= 1 + 3 + 1  # taken, waiting, and one in hand
    found.close()


def test_a_consumer_that_stops_ends_the_thread_and_closes_the_iterator():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    found = ahead(items())
    next(found)
    found.close()
    assert closed.is_set() and threading.active_count() == before


def test_what_is_read_ahead_ends_when_the_run_is_over():
    is_over = threading.Event()
    failed = []

    def work():
        stop_with(is_over)
        try:
            for _ in ahead(iter(int, 1)):
                time.sleep(0.001)
        except StoppedError:
            failed.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    is_over.set()
    thread.join(5)
    assert failed == [True]


def _endless(state, task):
    if task == 0:
        time.sleep(0.1)
        raise OSError("part 0 failed")
    for _ in ahead(iter(int, 1)):
        time.sleep(0.001)


def test_a_part_that_fails_ends_the_others_soon():
    start = time.monotonic()
    with pytest.raises(OSError, match="part 0 failed"):
        list(run_parts(_endless, [0, 1], workers=2, setup=dict, arguments=(), threads=True))
    assert time.monotonic() - start < 5
