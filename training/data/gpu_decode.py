"""JPEGs decoded on a GPU by NVIDIA's nvImageCodec, cropped and resized there by torch.

Optional, and another run than one decoded by libjpeg: the pixels differ by rounding, so a run
records which it was. What the GPU cannot decode (PNG, CMYK, turned by Exif, damaged) is left to the
host. Not measured; its parts that need no GPU are tested with a decoder of the host's.

Shapes: B images, H and W pixels of an image, S pixels of a side.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from curate.errors import UsageError
from curate.training.data.images import MAX_PIXELS
from curate.training.data.jpeg import frame, is_jpeg, orientation
from curate.training.data.resize_kernels import random_box
from curate.training.data.sampler import Group
from curate.training.data.samples import Pair, Reader

__all__ = ["GpuCropper", "crop_or_load", "nvimgcodec_decode"]

Decode = Callable[[list[bytes]], "list[Tensor | None]"]
_DECODABLE = (1, 3)  # components: grey and YCbCr


def nvimgcodec_decode(device: torch.device) -> Decode:
    """Return a function that decodes JPEGs to uint8 (H, W, 3) on a GPU; None where it cannot.

    Raises:
        UsageError: the device is no GPU.
    """
    if device.type != "cuda":
        raise UsageError(
            f"decoder nvimgcodec decodes on a GPU, and this run is on {device.type}. Use --decoder "
            "simplejpeg, or --device cuda on a machine with one."
        )
    library: Any = import_module("nvidia.nvimgcodec")
    decoder = library.Decoder(device_id=device.index if device.index is not None else 0)

    def decode(encoded: list[bytes]) -> list[Tensor | None]:
        stream = torch.cuda.current_stream(device).cuda_stream
        streams = [library.CodeStream(content) for content in encoded]
        found = decoder.decode(streams, cuda_stream=stream)
        return [None if image is None else torch.as_tensor(image, device=device) for image in found]

    return decode


class GpuCropper:
    """Decodes and crops several images at once, on a device.

    Args:
        device: where the images go.
        decode: decodes JPEGs there.
    """

    def __init__(self, device: torch.device, decode: Decode) -> None:
        self.device = device
        self._decode = decode
        self._streams = threading.local()
        self._memory_stream = _new_stream(device) if device.type == "cuda" else None

    def new_images(self, shape: tuple[int, ...]) -> Tensor:
        """Return memory for a batch.

        It belongs to a stream that nothing is computed on, so that it is not given out again before
        the streams that it was recorded on (`DevicePrefetcher` does so) are done with it.
        """
        with torch.cuda.stream(self._memory_stream):
            return torch.empty(shape, dtype=torch.uint8, device=self.device)

    @contextmanager
    def own_stream(self) -> Iterator[None]:
        """Work on a stream of this thread; it is done when the block ends."""
        if self.device.type != "cuda":
            yield
            return
        if not hasattr(self._streams, "stream"):
            self._streams.stream = _new_stream(self.device)
        with torch.cuda.stream(self._streams.stream):
            yield
        self._streams.stream.synchronize()

    def crop(self, encoded: Sequence[bytes], keys: Sequence[int], out: Tensor) -> list[bool]:
        """Decode images, cut random rectangles out of them, and resize these.

        Args:
            encoded: of the files; shape (B,).
            keys: decide the rectangles, as in `images.crop_into`; shape (B,).
            out: written where it can be decoded here: uint8, (B, 3, S, S).

        Returns:
            Whether each image was decoded; shape (B,).
        """
        rows = [row for row, content in enumerate(encoded) if _is_decodable(content)]
        done = [False] * len(encoded)
        if not rows:
            return done
        for row, pixels in zip(rows, self._decode([encoded[row] for row in rows]), strict=True):
            if pixels is not None:
                out[row] = _cropped(pixels, keys[row], out.shape[-1])
                done[row] = True
        return done


def _new_stream(device: torch.device) -> torch.cuda.Stream:
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


def crop_or_load(
    cropper: GpuCropper, reader: Reader, places: Sequence[tuple[Group, int]], image_B3SS: Tensor
) -> tuple[list[Pair], Counter[str]]:
    """Load samples, on the device where it can be, else on the host as any loader does.

    Args:
        cropper: of the device.
        reader: of the samples.
        places: groups and places in them; shape (B,).
        image_B3SS: written: uint8, on the device.

    Returns:
        The pairs, shape (B,), and how many samples could not be used, by reason.

    Raises:
        InputError: no sample of a group can be used.
    """
    skipped: Counter[str] = Counter()
    samples = [group.sample(place) for group, place in places]
    fetched = [reader.fetch(sample) for sample in samples]
    encoded = [b"" if isinstance(found, str) else found[1] for found in fetched]
    cuts = [(None, 0) if isinstance(found, str) else reader.cut(found[0], sample.key)
            for found, sample in zip(fetched, samples, strict=True)]  # fmt: skip
    with cropper.own_stream():
        is_done = cropper.crop(encoded, [key for _, key in cuts], image_B3SS)
        pairs: list[Pair] = []
        host = np.empty(tuple(image_B3SS.shape[1:]), np.uint8)
        for row, (group, place) in enumerate(places):
            pair = cuts[row][0]
            if is_done[row] and pair is not None:
                pairs.append(pair)
                continue
            pairs.append(reader.read(group, place, host, skipped))
            image_B3SS[row].copy_(torch.from_numpy(host))
    return pairs, skipped


def _is_decodable(encoded: bytes) -> bool:
    if not is_jpeg(encoded) or orientation(encoded) != 1:
        return False
    width, height, components = frame(encoded)
    return components in _DECODABLE and width * height <= MAX_PIXELS


def _cropped(pixels_HW3: Tensor, key: int, size: int) -> Tensor:
    """Return a random rectangle, resized to uint8 (3, S, S)."""
    left, top, width, height = random_box(pixels_HW3.shape[1], pixels_HW3.shape[0], np.uint64(key))
    box_HW3 = pixels_HW3[top : top + height, left : left + width]
    resized_3SS = F.interpolate(
        box_HW3.permute(2, 0, 1)[None].float(), size=(size, size), mode="bicubic", antialias=True
    )[0]
    return resized_3SS.round().clamp(0, 255).to(torch.uint8)
