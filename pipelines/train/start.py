"""What a run begins with: its tokenizer if one is given, and weights instead of random ones."""

from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.pipelines.store import artifacts
from curate.pipelines.train.files import RunFiles, read_checkpoint
from curate.pipelines.views.progress import log
from curate.training.loop.config import TrainConfig
from curate.training.model.config import ModelConfig, load_model_config

if TYPE_CHECKING:
    from curate.training.model.clip import CLIP
    from curate.training.model.config_beside import ConfigBeside
    from curate.training.text.tokenizer import Tokenizer

__all__ = ["FullRun", "Start", "full_run", "prepare_start", "shape_of", "teacher_identity"]

_USUAL = "vit-b-32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a run begins with.

    Attributes:
        tokenizer: None to learn one from the captions.
        init: file or folder of weights; None for random ones.
        init_sha256: of that file.
        assumed: what is taken for granted of it, for the user to read; None if its config says it.
        goes_on: the run whose checkpoint it goes on from, with its optimizer and schedule; None.
    """

    tokenizer: "Tokenizer | None" = None
    init: str | None = None
    init_sha256: str | None = None
    assumed: str | None = None
    goes_on: "FullRun | None" = None

    @property
    def identity(self) -> dict[str, str | None]:
        """What decides the result, for the run's config.json."""
        json = self.tokenizer.to_json() if self.tokenizer is not None else None
        return {
            "init_sha256": self.init_sha256,
            "tokenizer_sha256": sha256(json.encode()).hexdigest() if json else None,
        }

    def state(self, *, quiet: bool) -> dict[str, Any] | None:
        """Return the state that an expert goes on from; None for a run that begins."""
        return None if self.goes_on is None else self.goes_on.state(quiet=quiet)

    def load_into(self, model: "CLIP", *, quiet: bool) -> None:
        """Give a model the weights, before it is compiled, wrapped or sharded.

        Raises:
            InputError: they cannot be read, or are another model's.
        """
        from curate.training.model.weights import load_weights

        if self.init is None:
            return
        if self.assumed:
            log(self.assumed, quiet=quiet)
        for message in load_weights(model, self.init):
            log(message, quiet=quiet)
        log(f"begun with the weights of {self.init}", quiet=quiet)


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


def shape_of(model: str | None, init: str | None) -> ModelConfig:
    """Return the shape of a run's model: as named, else that of the weights it begins with.

    Args:
        model: name or JSON file; None for that of `init`, and vit-b-32 where nobody says it.
        init: as for `prepare_start`.
    """
    from curate.training.model.config_beside import config_beside
    from curate.training.published.registry import HUB, is_name

    if model is not None or init is None:
        return load_model_config(model or _USUAL)
    if is_name(init):
        from curate.training.published.resolve import resolve

        return resolve(init).config
    if init.startswith(HUB):
        from curate.training.published.resolve import hub_folder

        init = hub_folder(init.removeprefix(HUB))
    beside = config_beside(init)
    return beside.config if beside is not None else load_model_config(_USUAL)


class _Named(NamedTuple):
    """Weights to begin with: what was asked for, where they are, and what is said of them."""

    asked: str
    weights: str
    tokenizer: str | None
    config: "ConfigBeside | None"


def _named(init: str) -> _Named:
    """Find the weights to begin with, which a name may stand for; they are fetched then."""
    from curate.training.model.config_beside import ConfigBeside, config_beside
    from curate.training.published.registry import HUB, is_name
    from curate.training.published.resolve import hub_folder, resolve
    from curate.training.text.tokenizer_files import tokenizer_beside

    if is_name(init):
        found = resolve(init)
        if found.note:
            log(f"{found.name}: {found.note}")
        return _Named(init, found.weights, found.tokenizer, ConfigBeside(found.name, found.config))
    place = hub_folder(init.removeprefix(HUB)) if init.startswith(HUB) else init
    return _Named(init, place, tokenizer_beside(place), config_beside(place))


def teacher_identity(teacher: str) -> dict[str, Any]:
    """Return what a teacher is, for the run's config.json; its files are fetched if need be.

    Raises:
        InputError: there is none.
        UsageError: it comes without its tokenizer.
    """
    from curate.training.model.weights_file import find_weights
    from curate.training.text.tokenizer_files import open_tokenizer

    found = _named(teacher)
    weights = find_weights(found.weights)
    if found.tokenizer is None or found.config is None:
        raise UsageError(
            f"--teacher {teacher}: a file of weights alone; expected a run, an export or a model's "
            "name, which say its shape and its tokenizer. `curate export` makes such a folder."
        )
    words = open_tokenizer(found.tokenizer, found.config.config.context_length)
    return {
        "name": teacher.rstrip("/").rpartition("/")[2] if storage.is_folder(teacher) else teacher,
        "weights_sha256": storage.file_sha256(weights),
        "tokenizer_sha256": sha256(words.to_json().encode()).hexdigest(),
    }


def prepare_start(shape: ModelConfig, *, init: str | None, tokenizer: str | None) -> Start:
    """Open what a run begins with, and check that it fits.

    Args:
        shape: of the model.
        init: file of weights, folder of a run or an export, or a name as for `curate.load`.
        tokenizer: as for `open_tokenizer`; None for the one that came with `init`, if any.

    Raises:
        ArtifactError: the tokenizer is not the weights' or not the model's, or the config beside
            the weights says that they are another model's.
        InputError: there are no such files, or they are not what they should be.
        UsageError: weights come without their tokenizer, or the model needs a certain one, and
            none is given.
    """
    from curate.training.model.weights_file import find_weights
    from curate.training.text.tokenizer import LEARNED_EOS_ID
    from curate.training.text.tokenizer_files import check_fit, open_tokenizer

    named = _named(init) if init else None
    place = tokenizer or (named.tokenizer if named else None)
    if place is None:
        if named is not None:
            raise UsageError(
                f"--init {named.asked} comes without its tokenizer, and weights mean nothing to "
                "another one. Give it: --tokenizer bpe_simple_vocab_16e6.txt.gz for published "
                "English models, facebook/xlm-v-base or google/mt5-base for worldwide ones."
            )
        if shape.eos_id not in (None, LEARNED_EOS_ID):
            raise UsageError(
                f"the model reads texts at the end token {shape.eos_id}, which a tokenizer learned "
                "from the captions does not have. Give the one it is made for with --tokenizer, "
                "such as google/mt5-base for -mt5."
            )
        return Start()
    words = open_tokenizer(place, shape.context_length)
    if named is None:
        check_fit(words, shape, place)
        return Start(tokenizer=words)
    assumed = _check_config(named, shape, words, place)
    beside = named.tokenizer
    if tokenizer and beside and open_tokenizer(beside, shape.context_length) != words:
        raise ArtifactError(
            f"--tokenizer {tokenizer} is not the one that the weights of --init came with, "
            f"{beside}. Leave --tokenizer out."
        )
    return Start(
        tokenizer=words, init=named.weights, assumed=assumed,
        init_sha256=storage.file_sha256(find_weights(named.weights)),
    )  # fmt: skip


def _check_config(named: _Named, shape: ModelConfig, words: "Tokenizer", place: str) -> str | None:
    """Check weights' model by what is said of them; return what is assumed if nothing is."""
    from curate.training.model.config_beside import assumption, require_same_model
    from curate.training.model.weights import published_end
    from curate.training.text.tokenizer_files import check_fit

    is_bare = named.tokenizer is None and named.config is None
    ended = published_end(shape) if is_bare else shape
    check_fit(words, ended, place)
    asked = replace(ended, eos_id=words.eos_id)
    if named.config is None:
        return assumption(named.weights, asked)
    require_same_model(named.config, asked, named.asked)
    return None
