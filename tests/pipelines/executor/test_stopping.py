"""SIGTERM ends a command as Ctrl-C does: with a message, and with nothing left behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from curate.pipelines.executor.stopping import interrupt_on_sigterm
from tests.pipelines.traps import World, is_running, wait_for


def end_of(number):
    """Send this process a signal and wait for what comes of it."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def test_sigterm_is_an_interrupt_and_is_told_apart():
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        with interrupt_on_sigterm() as sigterm, pytest.raises(KeyboardInterrupt):
            end_of(number)
        assert sigterm.is_made == (number == signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_ends_what_a_shell_started_with_interrupts_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt_on_sigterm(), pytest.raises(KeyboardInterrupt):
            end_of(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_goes_to_whoever_handles_them():
    taken = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: taken.append(number))
    try:
        with interrupt_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for(lambda: taken, "the handler")
    finally:
        signal.signal(signal.SIGINT, before)
    assert taken == [signal.SIGINT]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def is_told(worker):
    """Tell whether a worker is ending: it then ignores further signals, or is gone."""
    try:
        status = Path(f"/proc/{worker}/status").read_text()
    except FileNotFoundError:
        return True
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "sent_to", "code", "word"),
    [
        (signal.SIGTERM, "driver", 143, "Terminated"),
        (signal.SIGTERM, "group", 143, "Terminated"),
        (signal.SIGINT, "group", 130, "Interrupted"),  # as a terminal sends it
    ],
)
def test_workers_end_and_temporary_files_go(world, number, sent_to, code, word):
    output = f"{word}-{sent_to}/matched"
    for part in (1, 2):
        world.held(part).unlink(missing_ok=True)
    holds = [world.trap("hold", part) for part in (1, 2)]
    engine = ("--engine", "pyahocorasick", "--workers", "2")  # in processes
    driver = world.start("match", "-o", output, *engine, start_new_session=True)
    try:
        wait_for(lambda: all(world.held(part).exists() for part in (1, 2)), "two parts")
        workers = [int(world.held(part).read_text()) for part in (1, 2)]
        assert len({*workers, driver.pid}) == 3
        (os.kill if sent_to == "driver" else os.killpg)(driver.pid, number)
        wait_for(lambda: all(map(is_told, workers)), "the workers to be told")
    finally:
        for hold in holds:
            hold.unlink()
        _, errors = driver.communicate(timeout=100)
    assert driver.returncode == code, errors
    assert f"{word}. What is done is kept" in errors and "Traceback" not in errors
    assert not any(is_running(worker) for worker in workers)
    assert list((world.folder / output).rglob(".tmp-*")) == []
    assert not list((world.folder / output).parent.rglob("lease.json"))
    found = world.run("match", "-o", output, *engine)
    assert found.returncode == 0, found.stderr
    world.check(output)


@pytest.mark.slow
def test_threads_end_too(world):
    hold = world.trap("hold", 3)
    driver = world.start("match", "-o", "threads/matched", "--workers", "2")
    try:
        wait_for(world.held(3).exists, "a part")
        driver.terminate()
    finally:
        hold.unlink()
        _, errors = driver.communicate(timeout=100)
    assert driver.returncode == 143 and "Terminated" in errors and "Traceback" not in errors
    assert list((world.folder / "threads").rglob(".tmp-*")) == []
