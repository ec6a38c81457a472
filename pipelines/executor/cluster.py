"""Where parts are worked on: this machine, a Ray cluster, or Slurm; chosen once for a command.

`use_cluster` says it for everything inside its block, and `parts.run_parts` asks. So
a stage need not know where its parts run, and none of it changes a byte of what is written.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from curate.errors import UsageError

__all__ = ["EXECUTORS", "LOCAL", "Cluster", "current_cluster", "use_cluster"]

EXECUTORS = ("local", "ray", "slurm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where parts are worked on.

    Attributes:
        kind: one of EXECUTORS.
        retries: how often a part is begun anew whose worker died or that met a passing fault.
        ray_address: of a running cluster, such as ``auto`` or ``ray://host:10001``; None to start
            one on this machine with as many CPUs as there are workers.
        slurm_partition: None for the site's default.
        slurm_minutes: time limit of a job.
        slurm_memory_gb: memory of a job; None for the site's default.
        slurm_account: None for the user's default.
        slurm_array_size: jobs in an array at most; the site's MaxArraySize is one more.
        slurm_parts_per_job: parts that a job works on, one after the other.
        slurm_folder: on a disk that all nodes share; None for one beside the output.
        closing: what ends when the block of `use_cluster` does.
    """

    kind: str = "local"
    retries: int = 3
    ray_address: str | None = None
    slurm_partition: str | None = None
    slurm_minutes: int = 240
    slurm_memory_gb: float | None = None
    slurm_account: str | None = None
    slurm_array_size: int = 1000
    slurm_parts_per_job: int = 8
    slurm_folder: str | None = None
    closing: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one of them is out of range.
        """
        if self.kind not in EXECUTORS:
            raise UsageError(f"--executor is {self.kind!r}; expected {', '.join(EXECUTORS)}")
        if self.retries < 0:
            raise UsageError(f"--retries is {self.retries}; expected 0 or more")
        for name in ("slurm_minutes", "slurm_array_size", "slurm_parts_per_job"):
            if getattr(self, name) < 1:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} is {getattr(self, name)}; expected at least 1")


LOCAL = Cluster()
_current: ContextVar[Cluster] = ContextVar("cluster", default=LOCAL)


def current_cluster() -> Cluster:
    """Return where parts are worked on now."""
    return _current.get()


@contextmanager
def use_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """Have parts worked on elsewhere within the block."""
    token = _current.set(cluster)
    try:
        with cluster.closing:
            yield cluster
    finally:
        _current.reset(token)
