"""The files of a run: where they are, checkpoints written by a thread, a log that grows by lines.

runs/<name>/
config.json      what the run is made of
shards.json      its shards, and what they are known by
tokenizer.json
log.jsonl        a line every `log_every` steps, each with its checksum
checkpoints/     step-NNNNNNNNN.pt, the newest few; final.pt: the weights alone
nonfinite/       pairs of the batches that gave no finite loss
eval/            figures; those during training by step
consumed.json    languages and entries of the pairs that were trained on
modelcard.json, modelcard.md, loss.svg, loss.png, languages.svg, languages.png
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import xxhash

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.disk_space import told_when_full
from curate.files.own_json import of_ours
from curate.files.sealed_json import CHECKSUM, read_json, write_json
from curate.files.sums import SUMS, SummedFile, add_sums, check_listed, read_sums
from curate.pipelines.train.shard_facts import ShardFacts

__all__ = [
    "RUN_ENTRIES", "CheckpointWriter", "RunFiles", "RunLog", "log_of_run", "progress_of_run",
    "read_checkpoint",
]  # fmt: skip

_STEP = "step-"
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

    def write_sums(self, path: str, found: Mapping[str, Any]) -> None:
        """Note the sum of a file that is about to appear, and forget those of files that went."""
        keep = [name for name in read_sums(self.folder) if storage.exists(self.path(name))]
        add_sums(self.folder, {self.relative(path): found}, keep=keep)

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
        return [path for path in found if f"/{_STEP}" in path]

    def clear(self) -> None:
        """Remove everything that a run writes."""
        for name in RUN_ENTRIES:
            storage.remove(self.path(name))


class CheckpointWriter:
    """Writes checkpoints in a thread, one at a time, each whole or not at all.

    Args:
        files: of the run.
        keep: newest ones that stay.
    """

    def __init__(self, files: RunFiles, keep: int) -> None:
        self._files, self._keep = files, keep
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Begin to write a state; waits for the one before.

        Args:
            step: after which it is.
            state: copies, which nobody changes any more.

        Raises:
            Exception: what kept the one before from being written.
        """
        self.wait()
        path = self._files.step_checkpoint(step)
        # No daemon: a process that ends waits until the file is whole.
        self._thread = threading.Thread(target=self._write, args=(path, state))
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

    def _write(self, path: str, state: dict[str, Any]) -> None:
        try:
            with told_when_full(self._files.checkpoints):
                save_tensors(self._files, path, state)
            for old in self._files.step_checkpoints()[: -self._keep]:
                storage.remove(old)
        except BaseException as error:  # handed to the caller, who raises it
            self._error = error


def save_tensors(files: RunFiles, path: str, state: dict[str, Any]) -> None:
    """Publish tensors and plain values as `torch.save` writes them, and before that their sum."""
    import torch

    with storage.publish(path) as file:
        summed = SummedFile(file)
        torch.save(state, cast(IO[bytes], summed))
        files.write_sums(path, summed.sum)


def read_checkpoint(files: RunFiles, path: str) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values, never code.

    Raises:
        ArtifactError: it is cut off or damaged, or of another version, or no checkpoint of ours.
    """
    import torch

    from curate.training.loop.checkpoint import require_format

    check_listed(files.folder, files.relative(path), must=True)
    try:
        if storage.is_local(path):  # mapped: the ranks of a machine share its pages
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:
            with storage.open_read(path) as file:
                state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise ArtifactError(
            f"{path}: not a readable checkpoint ({error}). Remove it to go on from the one before."
        ) from error
    if not isinstance(state, dict) or "model" not in state:
        raise ArtifactError(f"{path}: not a checkpoint of `curate train` (it has no weights)")
    require_format(state, path)
    return state


class RunLog:
    """`log.jsonl`: a line of figures now and then, there as soon as it is known.

    Args:
        path: of the file.
        last_step: lines of later steps are dropped: a run that goes on computes them again.
    """

    def __init__(self, path: str, last_step: int) -> None:
        self._path = path
        with of_ours(path):
            self.lines = [line for line in _read_lines(path) if int(line["step"]) <= last_step]
        self.publish()

    def add(self, line: dict[str, Any]) -> None:
        """Add a line; behind a URL, where nothing can be appended, it appears at `publish`."""
        self.lines.append(line)
        if storage.is_local(self._path):
            with Path(self._path.removeprefix("file://")).open("ab") as file:
                file.write(_as_line(line))

    def publish(self) -> None:
        """Write all lines."""
        with storage.publish(self._path) as file:
            file.write(b"".join(_as_line(line) for line in self.lines))


def progress_of_run(folder: str) -> tuple[int, int, bool] | None:
    """Return a run's steps that are done, those asked for, and if it is whole; None of no run.

    Raises:
        ArtifactError: what it is made of, or its log, is damaged.
    """
    files = RunFiles(folder)
    if not storage.exists(files.config):
        return None
    with of_ours(files.config):
        total = int(read_json(files.config)["train"]["steps"])
    if storage.exists(files.card):
        return total, total, True
    lines = _read_lines(files.log)
    with of_ours(files.log):
        return (int(lines[-1]["step"]) if lines else 0), total, False


def log_of_run(folder: str) -> list[dict[str, Any]]:
    """Return the lines of a run's log, each with its step; [] where there is none yet.

    Raises:
        ArtifactError: it is damaged.
    """
    return _read_lines(RunFiles(folder).log)


def _as_line(line: dict[str, Any]) -> bytes:
    """Return a line with its checksum as the last key: what is read again, cards are made of."""
    text = json.dumps(line, allow_nan=False)
    return json.dumps({**line, CHECKSUM: _checksum(text)}, allow_nan=False).encode() + b"\n"


def _checksum(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode())


def _read_lines(path: str) -> list[dict[str, Any]]:
    if not storage.exists(path):
        return []
    with storage.open_read(path) as file:
        content = file.read()
    *lines, rest = content.split(b"\n")
    found = []
    for number, text in enumerate(lines, start=1):
        line = _line(text)
        if line is None:
            raise ArtifactError(
                f"{path}, line {number}: not what was written. Remove the line to go on; the curve "
                "of the loss then lacks a point."
            )
        found.append(line)
    # A killed run leaves its last line cut off; one that lacks but its end is whole.
    line = _line(rest) or _line(rest[:-1])
    return found if line is None else [*found, line]


def _line(text: bytes) -> dict[str, Any] | None:
    """Return the values of a line; None if they are not what was written."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    expected = values.pop(CHECKSUM, None)
    return values if expected == _checksum(json.dumps(values)) else None
