"""The files of a run: where they are, and checkpoints, which a thread writes.

runs/<name>/
config.json      what the run is made of
shards.json      its shards, and what they are known by
tokenizer.json
log.jsonl        a line every `log_every` steps, each with its checksum
checkpoints/     step-NNNNNNNNN.pt, the newest few; final.pt: the weights alone. Of a model that
                 ranks share, step-NNNNNNNNN.part-K.pt beside it, of ranks K from 1
nonfinite/       pairs of the batches that gave no finite loss
eval/            figures; those during training by step
consumed.json    languages and entries of the pairs that were trained on
modelcard.json, modelcard.md, loss.svg, loss.png, languages.svg, languages.png
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.own_json import of_ours
from curate.files.sealed_json import read_json, write_json
from curate.files.sums import SUMS, SummedFile, add_sums, check_listed, read_sums
from curate.pipelines.train.shard_facts import ShardFacts

__all__ = [
    "RUN_ENTRIES", "CheckpointWriter", "RunFiles", "part_path", "read_checkpoint", "save_tensors",
]  # fmt: skip

_STEP, _PART = "step-", ".part-"
# Whatever a run writes.
RUN_ENTRIES = (
    "config.json", "shards.json", "tokenizer.json", "log.jsonl", "modelcard.json", "modelcard.md",
    "loss.svg", "languages.svg", "loss.png", "languages.png", "consumed.json", "checkpoints",
    "nonfinite", "eval", "tensorboard", SUMS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Paths of a run, in a local folder or behind a URL."""

    folder: str

    def path(self, *names: str) -> str:
        """Return the path of a file of the run."""
        return storage.join(self.folder, *names)

    @property
    def config(self) -> str:
        """What the run is made of."""
        return self.path("config.json")

    def write_shards(self, facts: Sequence[ShardFacts]) -> None:
        """Write down which shards the run is begun with."""
        rows = [[one.name, one.identity, one.samples] for one in facts]
        write_json(self.path("shards.json"), {"shards": rows})

    def read_shards(self) -> list[ShardFacts]:
        """Return the shards that the run was begun with; [] where nobody wrote them down."""
        path = self.path("shards.json")
        if not storage.exists(path):
            return []
        with of_ours(path):
            return [
                ShardFacts(str(name), str(known), None, None if num is None else int(num))
                for name, known, num in read_json(path)["shards"]
            ]

    @property
    def tokenizer(self) -> str:
        """The tokenizer, as JSON."""
        return self.path("tokenizer.json")

    def relative(self, path: str) -> str:
        """Return the path of a file from the run's folder on."""
        return path.removeprefix(f"{self.folder.rstrip('/')}/")

    def write_sums(self, path: str, found: Mapping[str, Any], *more: tuple[str, Any]) -> None:
        """Note the sum of a file that is about to appear, and forget those of files that went.

        Args:
            path: of the file.
            found: its sum.
            more: paths and sums of others that are there already.
        """
        keep = [name for name in read_sums(self.folder) if storage.exists(self.path(name))]
        sums = {self.relative(name): one for name, one in ((path, found), *more)}
        add_sums(self.folder, sums, keep=keep)

    @property
    def log(self) -> str:
        """Lines of figures."""
        return self.path("log.jsonl")

    @property
    def card(self) -> str:
        """The model card; written last."""
        return self.path("modelcard.json")

    @property
    def checkpoints(self) -> str:
        """Folder of the checkpoints."""
        return self.path("checkpoints")

    @property
    def final(self) -> str:
        """The weights of the finished run."""
        return self.path("checkpoints", "final.pt")

    def step_checkpoint(self, step: int) -> str:
        """Return the path of the checkpoint after a step."""
        return self.path("checkpoints", f"{_STEP}{step:09d}.pt")

    def step_checkpoints(self) -> list[str]:
        """Return the checkpoints to go on from, the newest last."""
        found = storage.list_files(self.checkpoints, ".pt")
        return [path for path in found if f"/{_STEP}" in path and _PART not in path]

    def remove_checkpoint(self, path: str) -> None:
        """Remove the checkpoint after a step: it, and then the parts beside it."""
        storage.remove(path)
        self.remove_parts(path)

    def remove_parts(self, path: str | None = None) -> None:
        """Remove parts of a checkpoint; None: those whose first part is not there."""
        found = storage.list_files(self.checkpoints, ".pt")
        for part in [one for one in found if _PART in one]:
            first = part.partition(_PART)[0] + ".pt"
            if first == path or (path is None and first not in found):
                storage.remove(part)

    def clear(self) -> None:
        """Remove everything that a run writes."""
        for name in RUN_ENTRIES:
            storage.remove(self.path(name))


class CheckpointWriter:
    """Writes checkpoints in a thread, one at a time, each whole or not at all.

    Args:
        files: of the run.
        keep: newest ones that stay.
        world: the ranks that each write a part; None: this process writes all.
    """

    def __init__(self, files: RunFiles, keep: int, world: Any = None) -> None:
        from curate.training.loop.waiting import Parts

        self._files, self._keep, self._world = files, keep, world
        self._parts = None if world is None or world.size == 1 else Parts(world, files.checkpoints)
        self._step: int | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def is_shared(self) -> bool:
        """Tell whether every rank writes a part."""
        return self._parts is not None

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Begin to write a state, or this rank's part of it; waits for the one before.

        Args:
            step: after which it is.
            state: copies, which nobody changes any more.

        Raises:
            Exception: what kept the one before from being written.
        """
        self.wait()
        if step == self._step:  # a stop right after a checkpoint: it is there already
            return
        self._step = step
        number = self._parts.begin() if self._parts is not None else 0
        path = self._files.step_checkpoint(step)
        # No daemon: a process that ends waits until the file is whole.
        self._thread = threading.Thread(target=self._write, args=(path, state, number))
        self._thread.start()

    def wait(self) -> None:
        """Wait until what was begun is written.

        Raises:
            Exception: what kept it from being written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, path: str, state: dict[str, Any], number: int) -> None:
        try:
            with told_when_full(self._files.checkpoints):
                if self._parts is None or self._world.is_main:
                    save_tensors(self._files, path, state, lambda: self._others(number))
                    for old in self._files.step_checkpoints()[: -self._keep]:
                        self._files.remove_checkpoint(old)
                    return
                with storage.publish(part_path(path, self._world.rank)) as file:
                    found = write_tensors(file, state)
                self._parts.tell(number, (self._world.rank, found))
        except BaseException as error:  # handed to the caller, who raises it
            self._error = error
            if self._parts is not None and not self._world.is_main:
                self._parts.tell(number, error)

    def _others(self, number: int) -> list[tuple[int, Any]]:
        """Wait for the other ranks' parts; return their ranks and sums."""
        return [] if self._parts is None else self._parts.hear(number)


def part_path(path: str, rank: int) -> str:
    """Return the path of the part that a rank writes of a checkpoint.

    >>> part_path("checkpoints/step-000000020.pt", 0), part_path("step-000000020.pt", 3)
    ('checkpoints/step-000000020.pt', 'step-000000020.part-3.pt')
    """
    return f"{path.removesuffix('.pt')}{_PART}{rank}.pt" if rank else path


def write_tensors(file: IO[bytes], state: dict[str, Any]) -> dict[str, Any]:
    """Write tensors and plain values as `torch.save` does; return their sum."""
    import torch

    summed = SummedFile(file)
    torch.save(state, cast(IO[bytes], summed))
    return summed.sum


def save_tensors(
    files: RunFiles, path: str, state: dict[str, Any],
    others: Callable[[], list[tuple[int, Any]]] = list,
) -> None:  # fmt: skip
    """Publish tensors and plain values, and before that their sum and those of other parts.

    Args:
        files: of the run.
        path: where.
        state: tensors and plain values.
        others: waits for the parts of other ranks; gives their ranks and sums.
    """
    with storage.publish(path) as file:
        found = write_tensors(file, state)
        more = [(part_path(path, rank), one) for rank, one in others()]
        files.write_sums(path, found, *more)


def read_checkpoint(files: RunFiles, path: str) -> dict[str, Any]:
    """Read a checkpoint, all its parts; only tensors and plain values, never code.

    Raises:
        ArtifactError: it is cut off or damaged, or of another version, or no checkpoint of ours.
    """
    from curate.training.loop.checkpoint import joined, require_format

    state = _read_part(files, path)
    if not isinstance(state, dict) or "model" not in state:
        raise ArtifactError(f"{path}: not a checkpoint of `curate train` (it has no weights)")
    require_format(state, path)
    ranks = range(1, int(state.get("parts", 1)))
    return joined([state, *(_read_part(files, part_path(path, rank)) for rank in ranks)])


def _read_part(files: RunFiles, path: str) -> Any:
    import torch

    check_listed(files.folder, files.relative(path), must=True)
    try:
        if storage.is_local(path):  # mapped: the ranks of a machine share its pages
            local = storage.local_path(path)
            return torch.load(local, map_location="cpu", weights_only=True, mmap=True)
        with storage.open_read(path) as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise ArtifactError(
            f"{path}: not a readable checkpoint ({error}). Remove it to go on from the one before."
        ) from error
