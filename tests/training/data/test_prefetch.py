import threading

import numpy as np
import pytest
import torch

from curate.training.data.batch import Batch, Position
from curate.training.data.prefetch import DevicePrefetcher, prefetch


def test_prefetch_gives_the_same_items_and_hands_errors_over():
    assert list(prefetch(iter(range(20)), ahead=2)) == list(range(20))

    def broken():
        yield 1
        raise OSError("disk")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="disk"):
        next(items)


def test_what_is_prefetched_is_closed_with_it():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = prefetch(endless(), ahead=2)
    assert next(items) == 1
    items.close()
    assert closed.is_set()


def batch(number):
    images = np.full((2, 3, 4, 4), number, np.uint8)
    return Batch(images, np.zeros((2, 5), np.int64), ["a", "b"], Position(0, number), {})


def test_on_the_cpu_batches_are_passed_on_as_they_are():
    made, closed = [batch(number) for number in range(3)], []

    def source():
        try:
            yield from made
        finally:
            closed.append(True)

    stream = DevicePrefetcher(source(), torch.device("cpu"))
    assert iter(stream) is stream and next(stream) is made[0] and next(stream) is made[1]
    stream.close()
    assert closed == [True]


@pytest.mark.gpu
def test_on_a_gpu_images_arrive_whole_and_in_order():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    stream = DevicePrefetcher(iter([batch(number) for number in range(9)]), torch.device("cuda"))
    for number, found in enumerate(stream):
        assert found.images.device.type == "cuda" and found.end.drawn == number
        assert (found.images == number).all()
    assert number == 8
