"""Run tasks on Ray: its own tasks, few of them waiting, again where a worker or node dies."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from curate.errors import CurateError, MissingExtraError
from curate.pipelines.executor.cluster import Cluster
from curate.pipelines.executor.task import Failure, Work, perform_here

__all__ = ["run_on_ray"]


def run_on_ray(work: Work, tasks: Sequence[Any], cluster: Cluster, workers: int) -> Iterator[Any]:
    """Yield the results of all tasks, in any order.

    A task whose worker or node is lost is run again by Ray, up to `cluster.retries` times; an
    error of ours is not, and ends the run.

    Raises:
        CurateError: what a task failed with, or its worker died too often.
        MissingExtraError: Ray is not installed.
    """
    ray = _connect(cluster, workers)
    num_slots = workers if cluster.ray_address is None else _num_cpus(ray)
    remote = ray.remote(perform_here).options(
        num_cpus=1, max_retries=cluster.retries, retry_exceptions=False
    )
    shared = ray.put(work)
    waiting = iter(enumerate(tasks))
    pending = [remote.remote(shared, *item) for item in islice(waiting, 2 * num_slots)]
    try:
        while pending:
            done, pending = ray.wait(pending, num_returns=1)
            for item in islice(waiting, len(done)):
                pending.append(remote.remote(shared, *item))
            for reference in done:
                yield _result(ray, reference, cluster)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any, cluster: Cluster) -> Any:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayTaskError:  # a defect of ours: with its traceback
        raise
    except ray.exceptions.RayError as error:
        raise CurateError(
            f"Ray lost the worker of a part {cluster.retries + 1} times, most often because "
            f"memory ran out or nodes went away ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}). What is done is kept: run the same command again."
        ) from error
    if isinstance(result, Failure):
        raise result.error
    return result


def _num_cpus(ray: Any) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _connect(cluster: Cluster, workers: int) -> Any:
    """Connect to the cluster, or start one here that ends with the block of `use_cluster`."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--executor ray", "ray") from error
    if ray.is_initialized():
        return ray
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if cluster.ray_address is None:
        options |= {"num_cpus": workers, "include_dashboard": False, "address": "local"}
    else:
        options["address"] = cluster.ray_address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CurateError(
            f"--ray-address {cluster.ray_address}: no Ray cluster answers there ({error}). "
            "Start one with `ray start --head`, or leave the option out to use this machine."
        ) from error
    cluster.closing.callback(ray.shutdown)
    return ray
