"""How long small operations of the main thread take beside threads, or processes, that decode.

    python -m examples.bench.loading.interpreter_lock [WORKERS]

What is the interpreter's lock shows as the difference between threads and processes: both take the
same cores. Times by the clock, in microseconds; the machine should be otherwise idle.
"""

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from curate.training.data.images import crop_into
from examples.bench.common.pairs import enlarged, jpeg


def photo() -> bytes:
    """Return a JPEG of LAION's usual size."""
    return jpeg(enlarged(np.random.default_rng(0), (64, 85), (341, 256)), 90)


def decode_on(stop: "threading.Event") -> None:
    """Decode and crop, until told to stop."""
    content, out, key = photo(), np.empty((3, 224, 224), np.uint8), 0
    while not stop.is_set():
        crop_into(out, content, key, "simplejpeg")
        key += 1


def small_operations(num: int = 4000) -> tuple[float, float, float]:
    """Return median, mean and 99th percentile of a small operation, in microseconds."""
    value, times = torch.zeros(16), np.empty(num)
    for i in range(num):
        begun = time.perf_counter()
        value.add_(1)
        times[i] = time.perf_counter() - begun
        if i % 50 == 0:
            time.sleep(0)  # as a step does now and then: it lets the lock go
    return tuple(float(v) * 1e6 for v in (np.median(times), times.mean(), np.percentile(times, 99)))  # type: ignore[return-value]


def show(name: str) -> None:
    """Print a row."""
    median, mean, late = small_operations()
    print(f"| {name} | {median:.1f} | {mean:.1f} | {late:.0f} |", flush=True)


@contextmanager
def decoding(make: Callable[..., Any], stop: Any, workers: int) -> Iterator[None]:
    """Have workers decode beside what is done in the block."""
    started = [make(target=decode_on, args=(stop,)) for _ in range(workers)]
    for worker in started:
        worker.start()
    time.sleep(1.0)
    yield
    stop.set()
    for worker in started:
        worker.join()


def main(workers: int = 12) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    crop_into(np.empty((3, 224, 224), np.uint8), photo(), 0, "simplejpeg")  # compiled before
    print("| beside | median, µs | mean | 99 % |\n|---|---|---|---|")
    show("nothing")
    usual = sys.getswitchinterval()
    for interval_s in (usual, 5e-4, 5e-5):
        sys.setswitchinterval(interval_s)
        with decoding(threading.Thread, threading.Event(), workers):
            show(f"{workers} threads, switch interval {interval_s * 1e3:g} ms")
    sys.setswitchinterval(usual)
    context = multiprocessing.get_context("fork")
    with decoding(context.Process, context.Event(), workers):
        show(f"{workers} processes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
