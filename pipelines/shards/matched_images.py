"""Images that `download --from matched` fetched: the matches' plan in, a pair's encoded image out.

Each part of the matches has shards of its own, a number that its first download fixed. In which of
them a pair stands a hash of its id says, in which place the order of these hashes and, of equal
ones, of the rows. So nothing moves when other pairs are added or taken out, and a part's pairs are
found by their ids alone, which are compared.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import damaged, suggest
from curate.files.sums import check_shard
from curate.pipelines.matched.image_sources import DownloadedShards
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.tar import read_index
from curate.pipelines.shards.windows import order_draws
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.workspace import part_name
from curate.training.data.shards import OpenShards

__all__ = [
    "SUMMARY", "MatchedImages", "layout_digest", "open_downloaded", "part_bounds", "parts_of",
    "pool_of",
]  # fmt: skip

SUMMARY = "summary.json"
_MOST_SHARDS = 1 << 24  # of a part
_IMAGE_SUFFIXES = ("jpg", "png", "webp")


def part_bounds(num_shards: int) -> NDArray[np.float64]:
    """Return the draws at which the shards of a part begin, and 1; shape (num_shards + 1,)."""
    return np.arange(num_shards + 1) / max(1, num_shards)


def pool_of(plan: MatchedPlan) -> str:
    """Return what has to be the same for images to stay those of matches that grow."""
    return artifacts.digest(plan.parameters)


def parts_of(plan: MatchedPlan) -> list[str]:
    """Return what stands for each part of matches, whatever is taken out of it later."""
    return [artifacts.digest(part.as_dict()) for part in plan.parts]


def layout_digest(parameters: dict[str, Any], parts: list[dict[str, Any]]) -> str:
    """Return a hash of what decides which pairs are in which shard."""
    return artifacts.digest({"parameters": parameters, "parts": parts})


def open_downloaded(folder: str, plan: MatchedPlan) -> DownloadedShards:
    """Find the images of matched pairs that were downloaded.

    Raises:
        ArtifactError: there are none, not all, or of other matches.
    """
    again = f"Run `{suggest('download', '--from', 'matched')}`"
    path = storage.join(folder, PLAN)
    if not storage.exists(path):
        raise ArtifactError(f"{folder}: there are no downloaded images. {again} first.")
    values = artifacts.read_versioned(path)
    with of_ours(path):
        parameters: dict[str, Any] = values["parameters"]
        if "pool" not in parameters:
            raise ArtifactError(
                f"{folder}: its images are those of a balanced set, which they are for good. "
                f"{again} for those of all matched pairs."
            )
        parts = [
            {"part": str(one["part"]), "shards": int(one["shards"])} for one in values["layout"]
        ]
        shards = tuple(int(one["shards"]) for one in values["layout"])
        if not all(0 <= num <= _MOST_SHARDS for num in shards):
            damaged(path, f"a part has {max(shards)} shards")
    is_same = parameters["pool"] == pool_of(plan)
    known = [one["part"] for one in parts]
    if not is_same or known != parts_of(plan)[: len(known)]:
        raise ArtifactError(
            f"{folder}: its images are of other matches than {plan.folder} has now. Match the same "
            f"inputs in the same way, or: {again} with --overwrite or another --output."
        )
    sign = storage.join(folder, SUMMARY)
    summary = artifacts.read_json(sign) if storage.exists(sign) else None
    digest = layout_digest(parameters, parts)
    if summary is None or summary["plan"] != digest or len(parts) != len(plan.parts):
        raise ArtifactError(
            f"{folder}: not all images of {plan.folder} are downloaded. {again} again; it goes on "
            "where it was, and fetches those of pairs that were added."
        )
    with of_ours(sign):
        images, size_bytes = int(summary["downloaded"]), int(summary["bytes"])
    return DownloadedShards(folder, digest, shards, images, size_bytes)


class MatchedImages:
    """Reads the images of a part at a time; its shards are compared with their checksums first.

    Args:
        shards: that hold them.
    """

    def __init__(self, shards: DownloadedShards) -> None:
        self._shards = shards
        self._part: int | None = None
        self._tars: list[str] = []
        self._places = np.zeros((0, 3), np.int64)
        self._local = OpenShards()

    def begin_part(self, part: int, pairs: str) -> None:
        """Find where the images of a part's pairs are.

        Args:
            part: of the matches.
            pairs: path of its file.

        Raises:
            ArtifactError: a shard is not what was written, or of other pairs.
        """
        if part == self._part:
            return
        with artifacts.open_parquet(pairs) as file:
            ids = file.read(columns=["pair_id"]).column("pair_id").combine_chunks()
        first, num = sum(self._shards.shards[:part]), self._shards.shards[part]
        draws = order_draws(ids, 0)
        order = np.argsort(draws, kind="stable")
        ends = np.searchsorted(draws[order], part_bounds(num))
        self._places = np.full((len(ids), 3), -1, np.int64)
        self._tars = [
            storage.join(self._shards.folder, part_name(first + at, "tar")) for at in range(num)
        ]
        for at, tar in enumerate(self._tars):
            rows = order[ends[at] : ends[at + 1]]
            there, places = _places_in(tar, ids.take(pa.array(rows)))
            self._places[rows[there], 0] = at
            self._places[rows[there], 1:] = places
        self._part = part

    def read(self, row: int) -> bytes | None:
        """Return the image of a row of the part; None if it could not be had.

        Raises:
            ArtifactError: the shard is not what it was.
        """
        number, offset, size = self._places[row].tolist()
        if number < 0:
            return None
        tar = self._tars[number]
        if storage.is_local(tar):
            content = self._local.read(storage.local_path(tar), offset, size)
        else:
            with storage.open_read(tar) as file:
                file.seek(offset)
                content = file.read(size)
        if len(content) != size:
            damaged(tar, f"it ends at byte {offset + len(content)}")
        return content

    def close(self) -> None:
        """Let go of the files."""
        self._local = OpenShards()


def _places_in(tar: str, ids: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of a shard's pairs have an image, and where: offset and size."""
    listed = artifacts.read_table(f"{tar.removesuffix('.tar')}.parquet", ["pair_id", "status"])
    if not listed.column("pair_id").combine_chunks().equals(ids):
        raise ArtifactError(
            f"{tar}: its pairs are not those that are matched now. Run "
            f"`{suggest('download', '--from', 'matched')}` again, with --overwrite if it says so; "
            "after a retraction that was cut short, the same `curate retract` first."
        )
    check_shard(tar)
    with storage.open_read(f"{tar.removesuffix('.tar')}.idx") as file:
        samples = read_index(file.read().decode())
    there = np.flatnonzero(np.array(listed.column("status").to_pylist(), object) == "success")
    places = [
        next((one[suffix] for suffix in _IMAGE_SUFFIXES if suffix in one), (0, 0))
        for one in samples
    ]
    if len(places) != len(there):
        damaged(tar, f"it has {len(places)} samples, and {len(there)} of its pairs have an image")
    return there, np.array(places, np.int64).reshape(-1, 2)
