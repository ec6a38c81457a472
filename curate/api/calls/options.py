"""Values that options take, and what is in force while a command runs.

Numbers and sizes may be given as people write them (20k, 300MB), folders as paths, or as the result
of the command that wrote them.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from curate.pipelines.shards.options import ShardOptions
    from curate.pipelines.store.workspace import Workspace

__all__ = [
    "CLUSTER_DEFAULTS",
    "ClusterOptions",
    "Folder",
    "Number",
    "Paths",
    "Size",
    "kind_of",
    "listed",
    "num_workers",
    "number",
    "path_of",
    "place_of",
    "running",
    "shard_options",
    "words_of",
]

Number = int | str
Size = int | str
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Folder = Any  # a path, or the result of the command that wrote the folder


class ClusterOptions(TypedDict, total=False):
    """Where parts are worked on; the result is the same.

    Attributes:
        executor: local, ray or slurm.
        retries: of a part whose worker is lost.
        ray_address: of a running cluster, auto or ray://…; else Ray starts here.
        slurm_partition: default: the site's.
        slurm_account: default: the user's.
        slurm_minutes: time limit of a job.
        slurm_memory_gb: of a job; default: the site's.
        slurm_array_size: jobs in an array, at most.
        slurm_parts_per_job: parts that a job takes, at most.
        slurm_folder: for job files; all nodes share it.
        metrics_port: serve figures to Prometheus here.
        metrics_host: address that the port is opened on; 0.0.0.0 for all of this machine.
    """

    executor: str
    retries: int
    ray_address: str | None
    slurm_partition: str | None
    slurm_account: str | None
    slurm_minutes: int
    slurm_memory_gb: float | None
    slurm_array_size: int
    slurm_parts_per_job: int
    slurm_folder: str | None
    metrics_port: int | None
    metrics_host: str


CLUSTER_DEFAULTS: dict[str, Any] = {
    "executor": "local",
    "retries": 3,
    "ray_address": None,
    "slurm_partition": None,
    "slurm_account": None,
    "slurm_minutes": 240,
    "slurm_memory_gb": None,
    "slurm_array_size": 1000,
    "slurm_parts_per_job": 8,
    "slurm_folder": None,
    "metrics_port": None,
    "metrics_host": "127.0.0.1",
}


def number(value: Number, option: str) -> int:
    """Return a whole number, at least 1, that may be written such as 20k or 1.5m.

    Raises:
        UsageError: it is none.
    """
    from curate.files.sizes import parse_number

    return parse_number(str(value), option)


def num_workers(wanted: int | None) -> int:
    """Return how many workers there are to be: as wanted, else one for each core.

    Raises:
        UsageError: fewer than one.
    """
    from curate.errors import UsageError

    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if wanted < 1:
        raise UsageError(f"--workers is {wanted}; expected at least 1")
    return wanted


def listed(values: Any) -> list[str]:
    """Return one path or text, or several, as a list of texts.

    Raises:
        UsageError: it is something else.
    """
    if values is None:
        return []
    if isinstance(values, str | os.PathLike):
        return [os.fspath(values)]
    try:
        return [os.fspath(value) for value in values]
    except TypeError as error:
        from curate.errors import UsageError

        raise UsageError(
            f"got {kind_of(values)} where a path or a text, or a list of these, is expected"
        ) from error


def words_of(value: Any) -> tuple[str, ...] | None:
    """Return words between commas, or a list of words; None for nothing.

    Raises:
        UsageError: it is something else.

    >>> words_of("exact, text"), words_of(["exact", "text"]), words_of(None)
    (('exact', 'text'), ('exact', 'text'), None)
    """
    if value is None:
        return None
    return tuple(word.strip() for one in listed(value) for word in one.split(","))


def kind_of(value: Any) -> str:
    """Return what something is, in words.

    >>> kind_of(3), kind_of([{"text": "a"}]), kind_of({})
    ('an int', 'a list of dict', 'a dict')
    """
    name = type(value).__name__
    inner = f" of {type(value[0]).__name__}" if isinstance(value, list | tuple) and value else ""
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}{inner}"


def path_of(folder: Any) -> str | None:
    """Return the path of a folder that may be given as the result that lies in it.

    Raises:
        UsageError: it is neither.
    """
    if folder is None:
        return None
    inside = getattr(folder, "folder", None)
    if isinstance(inside, str) and inside:
        return inside
    try:
        return str(os.fspath(folder))
    except TypeError as error:
        from curate.errors import UsageError

        more = (
            ". Entries by language are for `match`: give its result, as matched="
            if isinstance(folder, dict)
            else ""
        )
        raise UsageError(
            f"got {kind_of(folder)} where a folder is expected: its path, or the result of the "
            f"command that wrote it{more}"
        ) from error


def place_of(workspace: Any) -> "Workspace":
    """Return the workspace that is meant: as given, else the environment's, else ``data``.

    Raises:
        UsageError: it is a file.
    """
    from curate.pipelines.store.workspace import Workspace

    place = path_of(workspace) or os.environ.get("CURATE_WORKSPACE") or "data"
    if os.path.isfile(place):
        from curate.errors import UsageError

        raise UsageError(f"{place} is a file; expected the folder of a workspace. Name one with -w")
    return Workspace(place)


def downloaded_of(downloaded: Any, matched: Any, place: "Workspace") -> str | None:
    """Return the folder of downloaded images that is meant: as given, else the workspace's.

    That of the workspace is taken only with the workspace's matches, and if there is one.
    """
    if downloaded is not None or matched is not None:
        return path_of(downloaded)
    from curate.files import storage

    folder = place.folder("downloaded")
    return folder if storage.exists(storage.join(folder, "plan.json")) else None


@contextmanager
def running(cluster: ClusterOptions) -> Iterator[None]:
    """Have the parts of stages within the block worked on where the options say.

    Raises:
        UsageError: one of them is out of range.
        TypeError: one of them is unknown.
    """
    from curate.pipelines.executor.cluster import Cluster, use_cluster
    from curate.pipelines.executor.faults import told_when_passing

    unknown = cluster.keys() - CLUSTER_DEFAULTS.keys()
    if unknown:
        raise TypeError(f"unexpected keyword argument {sorted(unknown)[0]!r}")
    values = {**CLUSTER_DEFAULTS, **cluster}
    port, host = values.pop("metrics_port"), values.pop("metrics_host")
    chosen = Cluster(kind=values.pop("executor"), **values)
    with told_when_passing(), use_cluster(chosen):
        if port is None:
            yield
            return
        from curate.pipelines.status import serving_metrics

        with serving_metrics(port, host):
            yield


def shard_options(
    shard_size: Size | None,
    window: int | str,
    mode: str,
    size: int,
    quality: int,
    only_if_bigger: bool,
    image_format: str,
) -> "ShardOptions":
    """Return how shards are cut, ordered and filled.

    Raises:
        UsageError: the options cannot be meant, together or by themselves.
    """
    from curate.errors import UsageError
    from curate.files.sizes import parse_size
    from curate.pipelines.shards.options import Resize, ShardOptions, parse_window

    if shard_size and mode != "no":
        raise UsageError(
            "--shard-size is of images as they are, and --resize changes them; "
            "give --pairs-per-shard"
        )
    return ShardOptions(
        shard_bytes=parse_size(str(shard_size), "--shard-size") if shard_size else None,
        window_shards=parse_window(str(window)),
        resize=Resize(mode=mode, size=size, quality=quality, only_if_bigger=only_if_bigger),
        image_format=image_format,
    )
