"""What a run begins with: its tokenizer if one is given, and weights instead of random ones."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.views.progress import log
from curate.training.model.config import ModelConfig, load_model_config

if TYPE_CHECKING:
    from curate.pipelines.train.experts.full_run import FullRun
    from curate.training.model.clip import CLIP
    from curate.training.model.config_beside import ConfigBeside
    from curate.training.text.tokenizer import Tokenizer

__all__ = [
    "Start", "is_stored", "open_teacher", "prepare_start", "shape_of", "teacher_identity",
]  # fmt: skip

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

    def load_into(
        self, model: "CLIP", *, quiet: bool, trimmed_from: list[int] | None = None
    ) -> None:
        """Give a model the weights, before it is compiled, wrapped or sharded.

        Args:
            model: gets them.
            quiet: no messages.
            trimmed_from: rows of the token embedding that the model has; None for all.

        Raises:
            InputError: they cannot be read, or are another model's.
        """
        from curate.training.model.weights import load_weights

        if self.init is None:
            return
        if self.assumed:
            log(self.assumed, quiet=quiet)
        for message in load_weights(model, self.init, trimmed_from):
            log(message, quiet=quiet)
        log(f"begun with the weights of {self.init}", quiet=quiet)


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


def is_stored(teacher: str) -> bool:
    """Tell whether a teacher is a folder of vectors that `embed` wrote, and no model."""
    files = ("plan.json", "pairs")
    return storage.is_folder(teacher) and all(
        storage.exists(storage.join(teacher, name)) for name in files
    )


def open_teacher(
    teacher: str, stored: Any, device: Any, image_size: int, *, quiet: bool
) -> tuple[Any, Any]:  # fmt: skip
    """Return a teacher and its tokenizer; of stored vectors what asks them, and no tokenizer.

    Args:
        teacher: as for `curate.load`.
        stored: its vectors, where they stand for it.
        device: where it computes.
        image_size: of the images that it is shown.
        quiet: no messages.
    """
    if stored is not None:
        from curate.training.loop.distill import StoredTeacher

        known = stored.crops
        log("the teacher's vectors are of the images' middles; students see random cuts of 90 to "
            "100 % of each" if known is None else
            f"the teacher's vectors are of {known.num} cuts of each image, of which students see "
            "one an epoch", quiet=quiet)  # fmt: skip
        return StoredTeacher(stored.find, stored.width, device), None
    from curate.training.export.load import load_model

    model, words = load_model(teacher, str(device))
    size = model.config.image_size
    if size != image_size:
        log(f"the teacher sees images of {size} pixels: those of {image_size} are resized for it",
            quiet=quiet)  # fmt: skip
    return model, words


def teacher_identity(teacher: str) -> dict[str, Any]:
    """Return what a teacher is, for the run's config.json; its files are fetched if need be.

    Raises:
        InputError: there is none.
        UsageError: it comes without its tokenizer.
    """
    from curate.pipelines.embedded.plan import EmbeddedPlan
    from curate.training.model.weights_file import find_weights
    from curate.training.text.tokenizer_files import open_tokenizer

    if is_stored(teacher):
        plan = EmbeddedPlan.read(teacher)
        return {
            "name": f"vectors {teacher.rstrip('/').rpartition('/')[2]}",
            "weights_sha256": plan.model_of("image")["sha256"],
            "vectors": plan.digest(),
        }
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
