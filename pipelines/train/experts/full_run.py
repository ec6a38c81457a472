"""The run that an expert goes on from: its checkpoint, its shape and its schedule."""

from dataclasses import asdict, dataclass
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.store import artifacts
from curate.pipelines.train.files import RunFiles, read_checkpoint
from curate.pipelines.train.start import Start
from curate.pipelines.views.progress import log
from curate.training.loop.config import TrainConfig
from curate.training.model.config import ModelConfig

__all__ = ["FullRun", "full_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FullRun:
    """A run of all pairs, at the step that experts go on from.

    Attributes:
        files: of the run.
        step: steps that are done.
        shape: of its model.
        values: of its config.json.
    """

    files: RunFiles
    step: int
    shape: ModelConfig
    values: dict[str, Any]

    @property
    def checkpoint(self) -> str:
        """The path of its checkpoint after that step."""
        return self.files.step_checkpoint(self.step)

    def start(self) -> Start:
        """Return what an expert begins with."""
        from curate.training.text.tokenizer_files import open_tokenizer

        words = open_tokenizer(self.files.tokenizer, self.shape.context_length)
        return Start(
            tokenizer=words, init_sha256=storage.file_sha256(self.checkpoint), goes_on=self
        )

    def schedule(self, asked: TrainConfig) -> TrainConfig:
        """Return how an expert is trained: as the run was, with what a run may change.

        Args:
            asked: by whoever calls; what is the default there is taken from the run.

        Raises:
            UsageError: something else is asked for than the run was trained with.
        """
        theirs, usual = dict(self.values["train"]), TrainConfig().decisive()
        for name, value in asked.decisive().items():
            if value not in (usual.get(name), theirs.get(name)):
                raise UsageError(
                    f"--{name.replace('_', '-')} is {value}, and --init {self.files.folder} was "
                    f"trained with {theirs.get(name)}: an expert goes on with the schedule of its "
                    "run. Leave it out."
                )
        sizes = theirs.pop("resolution_schedule", None)
        of_sizes = None if sizes is None else tuple((size, share) for size, share in sizes)
        return TrainConfig(
            **{**asdict(asked), **theirs, "resolution_schedule": of_sizes, "distill": None}
        )

    def state(self, *, quiet: bool) -> dict[str, Any]:
        """Return what an expert goes on from: the run's state, with pairs of the epoch after it."""
        from curate.pipelines.train.loop import Progress
        from curate.training.data.loader import Position

        found = read_checkpoint(self.files, self.checkpoint)
        log(f"going on as an expert from {self.checkpoint}", quiet=quiet)
        position = found["progress"]["position"]
        epochs = [position["epoch"], *(lane[0] for lane in position["lanes"].values())]
        return {**found, "progress": Progress(Position(max(epochs) + 1)).state()}


def full_run(init: str) -> FullRun:
    """Find the run that an expert goes on from.

    Args:
        init: folder of a run; with ``@STEP`` behind it, that checkpoint, else the newest one that
            leaves steps to do.

    Raises:
        ArtifactError: it is no run, or has no checkpoint that leaves steps to do.
        UsageError: it learned from a teacher.
    """
    folder, mark, asked = init.rpartition("@")
    if not mark or not asked.isdigit():
        folder, asked = init, ""
    files = RunFiles(folder.rstrip("/"))
    if not storage.exists(files.config) or not storage.exists(files.tokenizer):
        raise ArtifactError(
            f"--init {folder}: no run of `curate train`; an expert goes on from the checkpoint of "
            "a run, which has its optimizer too"
        )
    with of_ours(files.config):
        values = artifacts.read_json(files.config)
        steps, shape = int(values["train"]["steps"]), ModelConfig(**values["model"])
        if values.get("teacher"):
            raise UsageError(f"--init {folder} learned from a teacher, which experts have none of")
    names = [path.rpartition("step-")[2].removesuffix(".pt") for path in files.step_checkpoints()]
    there = [int(name) for name in names if name.isdigit() and int(name) < steps]
    if not there or (asked and int(asked) not in there):
        shown = ", ".join(map(str, there)) or "none"
        wanted = f"of step {int(asked)}" if asked else f"before its last step, {steps}"
        raise ArtifactError(
            f"--init {folder}: it has no checkpoint {wanted}; those that leave steps to do: "
            f"{shown}. Train it with a --checkpoint-every that leaves some, and --keep-checkpoints."
        )
    return FullRun(files=files, step=int(asked) if asked else max(there), shape=shape,
                   values=dict(values))  # fmt: skip
