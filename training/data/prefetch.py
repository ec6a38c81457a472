"""Work ahead: a thread that makes the next items, and a stream that copies the next images.

Shapes: B pairs of this rank, H and W pixels.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

    from curate.training.data.batch import Batch

__all__ = ["DevicePrefetcher", "prefetch"]

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], ahead: int = 4) -> Generator[Item, None, None]:
    """Yield the same items in the same order, made by a thread while the caller computes."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: tuple[bool, Any]) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((True, item))
                if stopped.is_set():
                    return
            put((False, None))
        except BaseException as error:  # handed to the caller, who raises it
            put((False, error))
        finally:
            close: Callable[[], None] | None = getattr(items, "close", None)
            if close:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = ready.get()
            if not is_item:
                if value is not None:
                    raise value
                return
            yield value
    finally:
        stopped.set()
        thread.join()


class DevicePrefetcher:
    """Copies the images of the next batch to a GPU while the model computes on this one.

    The copy runs on a stream of its own, out of pinned memory (`LoaderConfig.pin_memory`), and the
    computing stream waits for it, not the interpreter. Elsewhere than on a GPU the batches are
    passed on as they are. Tokens stay on the host: the trainer trims them there.

    Args:
        batches: of a loader; closed with this.
        device: where the images go.
    """

    def __init__(self, batches: "Iterator[Batch]", device: "torch.device") -> None:
        self._batches = batches
        self._device = device
        self._copied = self._copies() if device.type == "cuda" else batches

    def __iter__(self) -> "DevicePrefetcher":
        return self

    def __next__(self) -> "Batch":
        return next(self._copied)

    def close(self) -> None:
        """Stop loading; the threads are gone when this returns."""
        for items in (self._copied, self._batches):
            close: Callable[[], None] | None = getattr(items, "close", None)
            if close:
                close()

    def _copies(self) -> "Generator[Batch, None, None]":
        """Yield batches whose images are a tensor on the device, uint8 (B, 3, H, W)."""
        import torch

        stream: torch.cuda.Stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        waiting: deque[tuple[Batch, torch.Tensor, torch.cuda.Event]] = deque()
        for batch in self._batches:
            with torch.cuda.stream(stream):
                image_B3HW = torch.as_tensor(batch.images).to(self._device, non_blocking=True)
                waiting.append((batch, image_B3HW, stream.record_event()))
            if len(waiting) > 1:
                _, _, done = waiting[0]
                yield self._ready(*waiting[0])
                # The batch is held to here: its memory must not be reused before it is copied.
                done.synchronize()
                waiting.popleft()
        if waiting:
            yield self._ready(*waiting[0])

    def _ready(
        self, batch: "Batch", image_B3HW: "torch.Tensor", done: "torch.cuda.Event"
    ) -> "Batch":
        import torch

        computing = torch.cuda.current_stream(self._device)
        computing.wait_event(done)
        # Memory of the copying stream is used on the computing one from here on.
        image_B3HW.record_stream(computing)
        return replace(batch, images=image_B3HW)
