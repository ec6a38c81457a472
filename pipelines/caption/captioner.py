"""Which captioner is meant, and how it is asked; opened by each worker for itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files.storage import join
from curate.pipelines.caption.ask import Captioner
from curate.pipelines.caption.endpoint import Endpoint, EndpointOptions
from curate.pipelines.caption.prompts import Prompts
from curate.pipelines.caption.sampling import Decoding
from curate.pipelines.embedded.plan import EmbeddedPlan
from curate.pipelines.store import artifacts

__all__ = ["PRECISIONS", "CaptionerOptions", "open_captioner"]

PRECISIONS = ("auto", "bfloat16", "float32", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerOptions:
    """A captioner.

    Attributes:
        model: on the Hub, a folder, or the server's name for it.
        endpoint: how a server is asked; None for a model that runs here.
        prompts: templates.
        decoding: how words are chosen.
        batch_size: images at once, of a model that runs here.
        precision: of its weights.
        device: of it.
    """

    model: str
    endpoint: EndpointOptions | None = None
    prompts: Prompts = Prompts()
    decoding: Decoding = Decoding()
    batch_size: int = 16
    precision: str = "auto"
    device: str | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.batch_size < 1:
            raise UsageError(f"--batch-size is {self.batch_size}; expected at least 1")
        if self.precision not in PRECISIONS:
            raise UsageError(
                f"--precision is {self.precision!r}; expected one of {', '.join(PRECISIONS)}"
            )

    def resolved(self) -> tuple["CaptionerOptions", dict[str, Any]]:
        """Return the options with what depends on this machine decided, and what decides captions.

        Raises:
            CurateError: there is no such captioner.
        """
        if self.endpoint is not None:
            server = Endpoint(self.endpoint, self.prompts, self.decoding)
            server.require_model()
            return self, server.describe()
        from curate.pipelines.caption.hub_model import describe_hub_model
        from curate.pipelines.caption.own_model import describe_own_model

        values: dict[str, Any] = {
            "batch_size": self.batch_size, "precision": self.precision, "device": self.device,
        }  # fmt: skip
        found = describe_own_model(self.model, **values)
        if found is None:
            found = describe_hub_model(self.model, **values)
        return replace(self, precision=found["precision"]), found

    def require_vectors_of(self, plan: EmbeddedPlan) -> None:
        """Refuse vectors that another image model made than the captioner has learned to read.

        Raises:
            ArtifactError: they are.
        """
        from curate.pipelines.train_captioner import image_model_hash

        found, own = plan.model_of("image")["sha256"], image_model_hash(self.model)
        if found != own:
            raise ArtifactError(
                f"{plan.folder}: its vectors of images are those of another model (sha256 {found}) "
                f"than the captioner reads ({own}). Embed with its own: "
                f"`curate embed {join(self.model, 'image_model')}`, or leave --embeddings out."
            )


def open_captioner(options: CaptionerOptions, described: Mapping[str, Any]) -> Captioner:
    """Open a captioner.

    Args:
        options: of it.
        described: what it is, as whoever began the work found it.

    Raises:
        ArtifactError: it is another one here.
        CurateError: there is no such one.
    """
    if options.endpoint is not None:
        return Endpoint(options.endpoint, options.prompts, options.decoding)
    _, found = options.resolved()
    artifacts.require_same(
        options.model, found, dict(described),
        remedy="Put the same model on all machines, and run the command again.",
    )  # fmt: skip
    values: dict[str, Any] = {
        "batch_size": options.batch_size, "precision": options.precision, "device": options.device,
    }  # fmt: skip
    if found["kind"] == "captioner":
        from curate.pipelines.caption.own_model import OwnModel

        return OwnModel(options.model, options.decoding, **values)
    from curate.pipelines.caption.hub_model import HubModel

    return HubModel(
        options.model, options.prompts, options.decoding, commit=found["commit"], **values
    )
