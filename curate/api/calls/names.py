"""What `train` and `eval` take by name: runs, models, teachers, shards, captions."""

from typing import TYPE_CHECKING, Any

from curate.api.calls.options import path_of

if TYPE_CHECKING:
    from curate.pipelines.caption_tables import CaptionOptions
    from curate.pipelines.clustered.expert import ExpertOptions
    from curate.pipelines.store.workspace import Workspace

__all__ = [
    "captions_of", "encoder_of", "expert_of", "init_of", "model_of", "refuse_with_students",
    "run_or_model", "scale_of", "shards_of", "sizes_of",
]  # fmt: skip


def run_or_model(name: str, place: "Workspace") -> str:
    """Return the folder of a run by its name; where there is none, the name of a model itself."""
    from curate.files.storage import is_folder
    from curate.pipelines.train import check_run_name
    from curate.training.published.registry import HUB, is_name

    if (is_name(name) or name.startswith(HUB)) and not is_folder(place.run(name)):
        return name
    return place.run(check_run_name(name))


def scale_of(text: str) -> float | None:
    """Return a teacher's scale; None for its own.

    Raises:
        UsageError: it is no number.
    """
    from curate.errors import UsageError

    try:
        return None if text == "own" else float(text)
    except ValueError as error:
        raise UsageError(f"--teacher-scale is {text!r}; expected a number, or own") from error


def sizes_of(schedule: str | None) -> tuple[tuple[int, float], ...] | None:
    """Return sizes of images, and the share of the steps that each has.

    Raises:
        UsageError: it is not sizes and shares.

    >>> sizes_of("112:0.9,224:0.1")
    ((112, 0.9), (224, 0.1))
    """
    from curate.errors import UsageError

    if schedule is None:
        return None
    try:
        pairs = [part.split(":") for part in schedule.split(",")]
        return tuple((int(size), float(share)) for size, share in pairs)
    except ValueError as error:
        raise UsageError(
            f"--resolution-schedule is {schedule!r}; expected sizes in pixels and shares of the "
            "steps, such as 112:0.9,224:0.1"
        ) from error


def model_of(model: Any, place: "Workspace") -> str:
    """Return a model's folder or name: as given, else a run of the workspace.

    Args:
        model: path, URL or name, or the result of the command that wrote it.
        place: of the runs.
    """
    from curate.files.storage import exists

    found = str(path_of(model))
    return found if "/" in found or exists(found) else run_or_model(found, place)


def init_of(init: str, place: "Workspace") -> str:
    """Return the run that an expert goes on from: as given, else one of the workspace."""
    from curate.files.storage import exists

    name, mark, step = init.rpartition("@")
    if not mark or not step.isdigit():
        name, mark, step = init, "", ""
    known = name if "://" in name or "/" in name or exists(name) else place.run(name)
    return f"{known}{mark}{step}"


def expert_of(
    cluster: int | None, clusters: str, outside: float, cache_gb: float
) -> "ExpertOptions | None":
    """Return which expert a run is to be; None if it is to be trained on all pairs.

    Raises:
        UsageError: a value is out of range.
    """
    if cluster is None:
        return None
    from curate.pipelines.clustered.expert import ExpertOptions

    return ExpertOptions(
        cluster=cluster, clusters=clusters, outside=outside, cache_bytes=int(cache_gb * 1e9)
    )


def encoder_of(name: str, place: "Workspace") -> str:
    """Return a text encoder: a run of the workspace, or as it is given."""
    from curate.files.storage import is_folder

    return name if ":" in name or not is_folder(place.run(name)) else place.run(name)


def shards_of(shards: Any) -> list[str]:
    """Return places, of shards or tables, each of which may be the result of who wrote them."""
    several = shards if isinstance(shards, (list, tuple)) else [shards]
    return [str(path_of(one)) for one in several if one is not None]


def captions_of(
    tables: Any, fields: str | None, syn_ratio: float | None, weights: str | None, cache_gb: float
) -> "CaptionOptions":
    """Return which captions are mixed with the alt-texts, and how.

    Args:
        tables: of captions, each as given or the result of `caption`.
        fields: of the shards' JSON, with commas.
        syn_ratio: share of texts that are captions.
        weights: of sources instead, as they are written.
        cache_gb: of sorted captions.

    Raises:
        UsageError: they contradict each other.
    """
    from curate.pipelines.caption_tables import CaptionOptions, parse_weights

    return CaptionOptions(
        tables=tuple(shards_of(tables)),
        json_keys=tuple(word.strip() for word in (fields or "").split(",") if word),
        syn_ratio=syn_ratio,
        weights=parse_weights(weights) or None,
        cache_bytes=int(cache_gb * 1e9),
    )


def refuse_with_students(**options: Any) -> None:
    """Refuse options that students do not have.

    Raises:
        UsageError: one is given.
    """
    from curate.errors import UsageError

    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"--students with --{given[0].replace('_', '-')}: students have shapes of their own, "
            "and folders that are begun anew by removing them"
        )
