"""Figures of running stages for Prometheus: at a port that it asks, or in a file for its agent.

They are read out of the logs of the workers when they are asked for; nothing is counted twice.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from curate.errors import CurateError, MissingExtraError
from curate.files.addresses import without_secrets
from curate.pipelines.executor.lease import driven_outputs
from curate.pipelines.status.log import LogReader
from curate.pipelines.views.terminal import inert

__all__ = ["serving_metrics", "write_metrics"]

_FIGURES = {
    "parts": "Parts of the run at hand",
    "parts_done": "Parts that are done",
    "parts_running": "Parts that a worker is at",
    "parts_failed": "Parts whose last attempt failed",
    "retries": "Attempts that met a passing fault",
    "parts_per_second": "Parts done per second, over the last five minutes",
    "records_per_second": "Records read per second, over the last five minutes",
    "eta_seconds": "Seconds to go at that rate",
    "part_seconds_median": "Seconds that a part takes, the median",
    "slowest_running_seconds": "Seconds since the part that runs longest was begun",
    "records_read": "Records read",
}

Read = Callable[[], Mapping[str, Mapping[str, Any] | None]]


def _values(run: Mapping[str, Any]) -> dict[str, float | None]:
    slowest = run["slowest_running"]
    return {
        "parts": run["parts"],
        "parts_done": run["done"],
        "parts_running": run["running"],
        "parts_failed": run["failed"],
        "retries": run["retries"],
        "parts_per_second": run["parts_per_s"],
        "records_per_second": run["records_per_s"],
        "eta_seconds": run["eta_s"],
        "part_seconds_median": run["median_part_s"],
        "slowest_running_seconds": slowest[0]["seconds"] if slowest else None,
        "records_read": run["read"],
    }


class _Collector:
    """What prometheus_client asks for the families of figures."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def collect(self) -> Iterator[Any]:
        """Yield each figure with a value for each output."""
        from prometheus_client.core import GaugeMetricFamily

        runs = {
            inert(without_secrets(output)): run
            for output, run in self._read().items()
            if run is not None
        }
        for name, meaning in _FIGURES.items():
            family = GaugeMetricFamily(f"curate_{name}", meaning, labels=["output", "stage"])
            for output, run in runs.items():
                value = _values(run)[name]
                if value is not None:
                    family.add_metric([output, inert(run["stage"])], value)
            yield family
        family = GaugeMetricFamily(
            "curate_records_dropped", "Records dropped, by reason", labels=["output", "reason"]
        )
        for output, run in runs.items():
            for reason, num in run["dropped"].items():
                family.add_metric([output, inert(reason)], num)
        yield family


def _registry(read: Read) -> Any:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        raise MissingExtraError("Prometheus metrics", "metrics") from error
    registry = CollectorRegistry()
    registry.register(_Collector(read))
    return registry


def write_metrics(path: str, runs: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Write a file for the textfile collector of Prometheus' node exporter, whole or not at all."""
    registry = _registry(lambda: runs)
    from prometheus_client import write_to_textfile

    write_to_textfile(path, registry)


@contextmanager
def serving_metrics(port: int | None, host: str = "127.0.0.1") -> Iterator[None]:
    """Serve the figures of what this process works on, within the block.

    Args:
        port: None to serve nothing.
        host: address of this machine to listen on; by default nobody else can ask.

    Raises:
        CurateError: the port is taken, or this machine has no such address.
    """
    if port is None:
        yield
        return
    readers: dict[str, LogReader] = {}

    is_reading = threading.Lock()  # each who asks has a thread, and a line counts once

    def read() -> dict[str, Mapping[str, Any] | None]:
        with is_reading:
            outputs = driven_outputs()
            return {o: readers.setdefault(o, LogReader(o)).figures() for o in outputs}

    registry = _registry(read)
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise CurateError(
            f"--metrics-port {port} on {host}: {error.strerror or error}. Choose another one, or "
            "another address of this machine with --metrics-host."
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
