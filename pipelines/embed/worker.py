"""What workers of `embed` have to know, and what they keep: models, and threads."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from curate.errors import CurateError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.pipelines.embed.models import Encoders, ModelSpec, load_encoders
from curate.pipelines.embed.rows import MatchedRows, ShardRows, repeated_ids
from curate.pipelines.embed.shares import NO_SHARES, Shares, ids_path
from curate.pipelines.embedded.figures import PartFigures
from curate.pipelines.embedded.plan import Source
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name
from curate.training.data.batch import KnownCrops

__all__ = ["EmbedJob", "EmbedWorker"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedJob:
    """What every worker of a run has to know; picklable."""

    output: str
    parameters: str
    sources: tuple[Source, ...]
    rows: MatchedRows | ShardRows
    models: ModelSpec
    columns: dict[str, dict[str, Any]]
    batch_size: int
    decoder: str
    threads: int
    crops: KnownCrops | None = None
    shares: Shares = NO_SHARES

    @property
    def views(self) -> int:
        """Of an image, how many a model sees: its middle, and the cuts."""
        return 1 + (self.crops.num if self.crops else 0)

    @property
    def widths(self) -> dict[str, int]:
        """Width of the vectors of each column."""
        return {name: int(about["width"]) for name, about in self.columns.items()}

    @property
    def width(self) -> int:
        """Width of the vectors of images; 0 without any."""
        return self.widths.get("image", 0)

    def path(self, index: int) -> str:
        """Return the path of a part that is done."""
        return storage.join(self.output, "pairs", part_name(index, "parquet"))

    def made_from(self, index: int) -> dict[str, Any]:
        """Return what the stamp of a part says that it was made from."""
        return {"parameters": self.parameters, "source": self.sources[index].as_dict()}

    def done_before(self, path: str, index: int) -> PartFigures | None:
        """Return the figures of a part that is there; None if it is not, or of something else."""
        if not storage.exists(path):
            return None
        stamp, made_from = artifacts.read_stamp(path), self.made_from(index)
        if {key: stamp.get(key) for key in made_from} != made_from:
            return None
        return PartFigures.from_dict(stamp["summary"])

    def require_own(self, path: str, index: int) -> PartFigures:
        """Return the figures of a part that has to be there.

        Raises:
            ArtifactError: it is not, or it is of something else.
        """
        stamp, made_from = artifacts.read_stamp(path), self.made_from(index)
        artifacts.require_same(path, {key: stamp.get(key) for key in made_from}, made_from)
        return PartFigures.from_dict(stamp["summary"])

    def repeated_ids(self, index: int) -> set[str]:
        """Return the ids of images that stand in more than one row of a part."""
        path = ids_path(self.output, index)
        if not isinstance(self.rows, ShardRows) or not storage.exists(path):
            return repeated_ids(self.rows.image_ids(index))
        with artifacts.open_parquet(path) as file:
            return repeated_ids(batch.column(0) for batch in file.iter_batches())

    @contextmanager
    def at_part(self, index: int) -> Iterator[None]:
        """Say of which part it is that something ran out.

        Raises:
            CurateError: memory or the disk did.
        """
        try:
            with told_when_full(self.output):
                yield
        except (pa.ArrowException, MemoryError, OSError) as error:
            raise CurateError(
                f"{self.sources[index].name}: {type(error).__name__}: {error}. What is done is "
                "kept; run the same command again once this is mended."
            ) from error


class EmbedWorker:
    """What the parts of a worker share: threads, and the models, once one is asked for."""

    def __init__(self, job: EmbedJob) -> None:
        self.job = job
        self._pool = ThreadPoolExecutor(job.threads, initializer=_one_thread)
        self._lock = threading.Lock()
        self._encoders: Encoders | None = None

    @property
    def encoders(self) -> Encoders:
        """The models.

        Raises:
            ArtifactError: they are not those that the run began with.
        """
        with self._lock:
            if self._encoders is None:
                encoders = load_encoders(self.job.models)
                encoders.require(self.job.columns)
                self._encoders = encoders
            return self._encoders

    def in_order(self, calls: Iterator[Callable[[], Result]]) -> Iterator[Result]:
        """Yield what calls return, in their order; a few are under way at once."""
        running: deque[Future[Result]] = deque()
        try:
            for call in calls:
                running.append(self._pool.submit(call))
                if len(running) > 2 * self.job.threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _one_thread() -> None:
    """Have PyTorch compute in the thread that asks: batches are what is shared out."""
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
