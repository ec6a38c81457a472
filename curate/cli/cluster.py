"""The options of commands whose parts can be worked on elsewhere, put around a command."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

__all__ = ["on_cluster"]

_GROUP = "Where parts are worked on; the result is the same"


def _option(help_text: str) -> Any:
    return typer.Option(help=help_text, rich_help_panel=_GROUP)


def _options(
    executor: Annotated[str, _option("local, ray or slurm.")] = "local",
    retries: Annotated[int, _option("Of a part whose worker is lost.")] = 3,
    ray_address: Annotated[
        str | None, _option("Of a running cluster, auto or ray://…; else Ray starts here.")
    ] = None,
    slurm_partition: Annotated[str | None, _option("The site's default.")] = None,
    slurm_account: Annotated[str | None, _option("The user's default.")] = None,
    slurm_minutes: Annotated[int, _option("Time limit of a job.")] = 240,
    slurm_memory_gb: Annotated[float | None, _option("Of a job; the site's default.")] = None,
    slurm_array_size: Annotated[int, _option("Jobs in an array, at most.")] = 1000,
    slurm_parts_per_job: Annotated[int, _option("Parts that a job takes, at most.")] = 8,
    slurm_folder: Annotated[str | None, _option("For job files; all nodes share it.")] = None,
    metrics_port: Annotated[int | None, _option("Serve figures to Prometheus here.")] = None,
) -> None:
    """Hold the options that `on_cluster` adds."""


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of executors, and have its parts run where they say."""
    own = inspect.signature(command, eval_str=True)
    added = inspect.signature(_options, eval_str=True).parameters

    @wraps(command)
    def run(**values: Any) -> None:
        from curate.pipelines.executor.cluster import Cluster, use_cluster
        from curate.pipelines.executor.faults import told_when_passing
        from curate.pipelines.status.metrics import serving_metrics

        chosen = {name: values.pop(name) for name in added}
        port = chosen.pop("metrics_port")
        cluster = Cluster(kind=chosen.pop("executor"), **chosen)
        with told_when_passing(), use_cluster(cluster), serving_metrics(port):
            command(**values)

    parameters = [*own.parameters.values(), *added.values()]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return run
