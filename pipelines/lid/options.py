"""How languages are identified: what was asked for in, what is done out; and opening the models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from curate.curation.lid.identify import CompiledIdentifier, FastTextIdentifier
from curate.curation.lid.opinions import (
    SECOND_OPINIONS,
    FastTextOpinion,
    SecondOpinion,
    is_installed,
    open_opinion,
    version_of,
)
from curate.curation.lid.steps import StepwiseIdentifier
from curate.errors import InputError, UsageError
from curate.files import storage
from curate.metadata.languages import OTHER, is_known_label
from curate.pipelines.views.progress import log

__all__ = [
    "DROP",
    "LIDS",
    "LID_ENGINES",
    "LidOptions",
    "open_model",
    "open_steps",
    "prior_column",
    "way_to_identify_alike",
]

LID_ENGINES = ("compiled", "fasttext")
LIDS = ("steps", "published")
AUTO, NONE, DROP = "auto", "none", "drop"

_WITHOUT_CLD2 = (
    "hint: languages are identified without a second opinion, which is less right about captions: "
    "pycld2 is not installed. " + SECOND_OPINIONS["cld2"][1] + ". "
    "--second-opinion none says that none is wanted."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LidOptions:
    """How languages are identified.

    Attributes:
        kind: one of LIDS; ``published``: the model's answer alone.
        second: ``auto``, ``none``, one of SECOND_OPINIONS, or the path of a fastText model.
        no_language: ``drop``, ``other``, or the language of texts that are in none.
        prior_column: column of the language of a text's page; None for the usual one if it is
            there, "" for none.
        address_prior: whether the country of a pair's URL counts.
    """

    kind: str = "steps"
    second: str = AUTO
    no_language: str = DROP
    prior_column: str | None = None
    address_prior: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them cannot be meant.
        """
        if self.kind not in LIDS:
            raise UsageError(f"--lid is {self.kind!r}; expected {' or '.join(LIDS)}")
        code = self.no_language.strip().replace("-", "_")
        is_known = is_known_label(code) or is_known_label(code.split("_")[0].lower())
        if self.no_language not in (DROP, OTHER) and not is_known:
            raise UsageError(
                f"--no-language is {self.no_language!r}; expected drop, other or a language's code"
            )

    def resolved(self, *, quiet: bool = True) -> "LidOptions":
        """Return the options with what ``auto`` means here.

        Args:
            quiet: do not say what is missing.
        """
        if self.kind == "published" or self.second != AUTO:
            return self
        name = "cld2" if is_installed("cld2") else NONE
        if name == NONE and not quiet:
            log(_WITHOUT_CLD2)
        return replace(self, second=name)

    def as_parameters(self) -> dict[str, Any]:
        """Return what decides the result, JSON-able; empty for what was published.

        Raises:
            InputError: the second opinion is not there.
        """
        if self.kind == "published":
            return {}
        return {
            "lid": {
                "second": self.second if self.second == NONE else _identity(self.second),
                "no_language": self.no_language,
                "prior_column": self.prior_column,
                "address_prior": self.address_prior,
            }
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "LidOptions":
        """Return the options that a plan's parameters were made from.

        Raises:
            InputError: the second opinion was a file, of which a plan has no path.
        """
        made_from = parameters.get("lid")
        if made_from is None:
            return cls(kind="published")
        names = {package: name for name, (package, _) in SECOND_OPINIONS.items()}
        second = made_from["second"]
        second = NONE if second == NONE else names.get(second.partition(" ")[0])
        if second is None:
            raise InputError(
                "the matches were made with a fastText model as second opinion; name its file with "
                "--second-opinion"
            )
        return cls(
            second=second,
            no_language=made_from["no_language"],
            prior_column=made_from["prior_column"],
            address_prior=made_from["address_prior"],
        )


def prior_column(parameters: Mapping[str, Any]) -> str | None:
    """Return the column of pages' languages that a plan's matches look at, as in `LidOptions`.

    Args:
        parameters: of the plan.
    """
    if parameters["lang"] is not None or "lid" not in parameters:
        return ""
    found: str | None = parameters["lid"]["prior_column"]
    return found


def way_to_identify_alike(made: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return what to type to identify languages as matches were made, None if that is not at odds.

    Args:
        made: parameters of the matches.
        now: parameters of a run.
    """
    if made.get("lid") == now.get("lid") or made["lang"] is not None or now["lang"] is not None:
        return None
    if "lid" not in made:
        return "Add --lid published to go on as it was made; or --overwrite makes it anew."
    second = made["lid"]["second"]
    name = next((n for n, (p, _) in SECOND_OPINIONS.items() if p == second.partition(" ")[0]), None)
    if second == NONE:
        how = "add --second-opinion none"
    elif name is not None:
        how = f"add --second-opinion {name}, with {second.replace(' ', '==')} installed"
    else:
        how = "name the same fastText model with --second-opinion"
    return f"To go on as it was made {how}; or --overwrite makes it anew."


def _identity(second: str) -> str:
    if second in SECOND_OPINIONS:
        return version_of(second)
    if not storage.exists(second):
        raise InputError(
            f"--second-opinion {second}: no such file; expected {', '.join(SECOND_OPINIONS)}, none "
            "or a fastText model, such as GlotLID's model.bin (Apache-2.0, "
            "https://huggingface.co/cis-lmu/glotlid) or OpenLID's (GPL-3.0, "
            "https://huggingface.co/laurievb/OpenLID)"
        )
    return storage.file_sha256(second)


def open_model(model: str, engine: str, threads: int) -> CompiledIdentifier | FastTextIdentifier:
    """Open a LID model with one of LID_ENGINES; the compiled one works in several threads.

    Raises:
        InputError: it is not a fastText classifier.
    """
    if engine == "fasttext":
        return FastTextIdentifier(model)
    return CompiledIdentifier(storage.map_file(model), model, threads=threads)


def open_steps(
    options: LidOptions, model: str, engine: str, threads: int = 1
) -> StepwiseIdentifier:
    """Open the models of a stepwise identification.

    Args:
        options: resolved.
        model: fastText model that is asked first.
        engine: one of LID_ENGINES.
        threads: of the compiled engine.

    Raises:
        InputError: a model is not there, or is none.
    """
    second: SecondOpinion | None = None
    if options.second in SECOND_OPINIONS:
        second = open_opinion(options.second)
    elif options.second != NONE:
        opened = CompiledIdentifier(storage.map_file(options.second), options.second)
        second = FastTextOpinion(opened)
    return StepwiseIdentifier(open_model(model, engine, threads), second)
