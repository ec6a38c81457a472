"""Run tasks on Slurm: arrays of jobs under the site's limit, each job a few tasks in a row.

submitit submits; what has become of a job is told by its result file, and by `squeue`, which works
at sites without an accounting database too. A job that is neither there nor has a result was
cancelled, killed or lost with its node, and is submitted again.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from curate.errors import CurateError, MissingExtraError, UsageError
from curate.files import storage
from curate.pipelines.executor.cluster import Cluster
from curate.pipelines.executor.task import Failure, Work, perform_here
from curate.pipelines.views.progress import log

__all__ = ["run_on_slurm"]

_NAME = "curate"  # and after it, of which folder
_POLL_S = 1.0
_ASK_EVERY_S = 5.0
# A result may be seen late on a shared disk; so long a job without one is not given up.
_GRACE_S = 10.0
# Slurm kills 30 s after it asked, unless the site says otherwise (KillWait).
_ORPHANS_END_S = 180.0
_JOB_FILE = re.compile(r"(\d+)_")


@dataclass(slots=True)
class _Batch:
    """What one job works on."""

    items: list[tuple[int, Any]]
    attempts: int = 0
    job: Any = None
    gone_since: float | None = None


@dataclass(slots=True)
class _Queue:
    """Batches that wait, and those that are submitted."""

    waiting: list[_Batch] = field(default_factory=list)
    running: list[_Batch] = field(default_factory=list)


def run_on_slurm(
    work: Work, tasks: Sequence[Any], cluster: Cluster, workers: int, folder: str | None
) -> Iterator[Any]:
    """Yield the results of all tasks, in any order.

    Args:
        work: what the tasks have in common.
        tasks: picklable.
        cluster: options of Slurm.
        workers: jobs that run at once.
        folder: for submissions and their logs, if `cluster` names none; all nodes share it.

    Raises:
        CurateError: what a task failed with, or a job was lost too often.
        MissingExtraError: submitit is not installed.
        UsageError: there is no Slurm here, or no folder that nodes can share.
    """
    place = _folder(cluster, folder) / work.key
    name = _job_name(place.parent)
    executor = _executor(cluster, place, workers, name)
    _end_orphans(place.parent, name)
    place.mkdir(parents=True)
    place.chmod(0o700)  # what is in it is run, and may hold what gives access to inputs
    shared = _write_work(work, place)
    queue = _Queue(waiting=_batches(tasks, min(cluster.slurm_parts_per_job,
                                               -(-len(tasks) // workers))))  # fmt: skip
    asked = 0.0
    try:
        while queue.waiting or queue.running:
            _submit(queue, executor, shared, cluster)
            if time.monotonic() - asked > _ASK_EVERY_S:
                alive, asked = _alive(name), time.monotonic()
                _find_lost(queue, alive, cluster)
            finished = _take_finished(queue)
            for batch in finished:
                yield from _results(batch)
            if not finished:
                time.sleep(_POLL_S)
    finally:
        for batch in queue.running:
            batch.job.cancel(check=False)
    shutil.rmtree(place)


def _folder(cluster: Cluster, beside: str | None) -> Path:
    """Return the folder of an output's submissions: whoever drives the output has it alone."""
    chosen = cluster.slurm_folder or beside
    if chosen is None or not storage.is_local(chosen):
        raise UsageError(
            "--executor slurm needs a folder on a disk that all nodes share; name one with "
            "--slurm-folder"
        )
    folder = Path(storage.local_path(chosen)).absolute()
    if cluster.slurm_folder is None:
        return folder
    output = os.path.abspath(beside) if beside and storage.is_local(beside) else str(beside)
    return folder / sha256(output.encode()).hexdigest()[:16]


def _job_name(folder: Path) -> str:
    """Return the name of an output's jobs: that of the folder that they were submitted in.

    What a copied workspace names was submitted in the folder it was copied from, and stays alone.
    """
    return f"{_NAME}-{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"


def _end_orphans(folder: Path, job_name: str) -> None:
    """Cancel the jobs of a driver that died, which would go on writing, and remove their files.

    Args:
        folder: of the output's submissions.
        job_name: that its jobs have; of no others is asked, whatever the folder names.

    Raises:
        CurateError: they do not end.
    """
    left = {match[1] for path in folder.glob("*/jobs/*") if (match := _JOB_FILE.match(path.name))}
    until, said = time.monotonic() + _ORPHANS_END_S, ""
    while left:
        alive = _alive(job_name)
        orphans = {name for name in alive or () if name.split("_")[0] in left}
        if alive is not None and not orphans:
            break
        if time.monotonic() > until:
            named = ", ".join(sorted(orphans)) or "squeue does not answer"
            named += f"; scancel: {said}" if said else ""
            raise CurateError(
                f"{folder}: Slurm jobs of an earlier run of this output do not end ({named}). "
                "Run the same command again when squeue shows them no more."
            )
        if orphans:
            cancel = ["scancel", *sorted(orphans)]
            said = subprocess.run(
                cancel, capture_output=True, text=True, check=False
            ).stderr.strip()
        time.sleep(_POLL_S)
    if folder.is_dir():
        shutil.rmtree(folder)


def _executor(cluster: Cluster, place: Path, workers: int, name: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise MissingExtraError("--executor slurm", "slurm") from error
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError(
            "--executor slurm: there are no sbatch and srun here. Run this on a node from which "
            "jobs can be submitted, or use --executor local or ray."
        )
    executor = submitit.AutoExecutor(folder=place / "jobs", cluster="slurm")
    options = {
        "name": name,
        "timeout_min": cluster.slurm_minutes,
        "cpus_per_task": 1,
        "slurm_array_parallelism": workers,
        "slurm_partition": cluster.slurm_partition,
        "slurm_account": cluster.slurm_account,
        "mem_gb": cluster.slurm_memory_gb,
    }
    executor.update_parameters(**{k: v for k, v in options.items() if v is not None})
    return executor


def _write_work(work: Work, place: Path) -> Path:
    """Write what all jobs share once, instead of into each submission."""
    import cloudpickle

    path = place / "work.pkl"
    path.write_bytes(cloudpickle.dumps(work))
    return path


def _perform_all(shared: Path, items: list[tuple[int, Any]]) -> list[Any]:
    """Do a job's tasks; what an earlier life of the job finished is found done."""
    import cloudpickle

    work = cloudpickle.loads(shared.read_bytes())
    results = []
    for number, task in items:
        results.append(perform_here(work, number, task))
        if isinstance(results[-1], Failure):
            break
    return results


def _batches(tasks: Sequence[Any], size: int) -> list[_Batch]:
    numbered = list(enumerate(tasks))
    return [_Batch(numbered[at : at + size]) for at in range(0, len(numbered), size)]


def _submit(queue: _Queue, executor: Any, shared: Path, cluster: Cluster) -> None:
    """Submit one more array if a good part of the allowed number is free."""
    room = cluster.slurm_array_size - len(queue.running)
    if not queue.waiting or room < min(len(queue.waiting), max(1, cluster.slurm_array_size // 4)):
        return
    batches, queue.waiting = queue.waiting[:room], queue.waiting[room:]
    try:
        jobs = executor.map_array(
            _perform_all, [shared] * len(batches), [batch.items for batch in batches]
        )
    except Exception as error:  # submitit raises what sbatch said as errors of its own
        queue.waiting = batches + queue.waiting
        raise CurateError(
            f"sbatch refuses an array of {len(batches)} jobs: {str(error).strip()}. If the site "
            "allows fewer in one array (scontrol show config | grep MaxArraySize), give "
            "--slurm-array-size."
        ) from error
    for batch, job in zip(batches, jobs, strict=True):
        batch.job, batch.attempts, batch.gone_since = job, batch.attempts + 1, None
    queue.running += batches


def _alive(name: str) -> set[str] | None:
    """Return the ids of the jobs of a name that wait or run; None if Slurm does not answer."""
    command = ["squeue", "--me", f"--name={name}", "--noheader", "--array", "--format=%i %A"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(answer.stdout.split()) if answer.returncode == 0 else None


def _find_lost(queue: _Queue, alive: set[str] | None, cluster: Cluster) -> None:
    """Put batches back whose job is neither there nor has left a result.

    Raises:
        CurateError: that has happened too often to one of them.
    """
    for batch in [] if alive is None else list(queue.running):
        is_gone = batch.job.job_id not in (alive or ())
        batch.gone_since = (batch.gone_since or time.monotonic()) if is_gone else None
        if batch.gone_since is None or time.monotonic() - batch.gone_since < _GRACE_S:
            continue
        if batch.job.paths.result_pickle.exists():
            continue
        if batch.attempts > cluster.retries:
            raise CurateError(
                f"Slurm job {batch.job.job_id} ended without a result, as {batch.attempts - 1} "
                f"before it; the last it said:\n{_last_words(batch)}\n"
                f"Its logs are in {batch.job.paths.folder}. What is done is kept: run the same "
                "command again, with more --slurm-memory-gb or --slurm-minutes if that was it."
            )
        log(f"Slurm job {batch.job.job_id} ended without a result; its parts are submitted again")
        queue.running.remove(batch)
        queue.waiting.insert(0, batch)


def _last_words(batch: _Batch) -> str:
    text = (batch.job.stderr() or "").strip()
    return text[-600:] or "nothing"


def _take_finished(queue: _Queue) -> list[_Batch]:
    """Return the batches with a result, after one look at the folder of all."""
    if not queue.running:
        return []
    there = set(os.listdir(queue.running[0].job.paths.folder))
    finished = [b for b in queue.running if b.job.paths.result_pickle.name in there]
    for batch in finished:
        queue.running.remove(batch)
    return finished


def _results(batch: _Batch) -> Iterator[Any]:
    kind, value = _read_result(batch.job)
    if kind == "error":
        raise CurateError(f"Slurm job {batch.job.job_id} failed with an error of ours:\n{value}")
    for result in value:
        if isinstance(result, Failure):
            raise result.error
        yield result


def _read_result(job: Any) -> tuple[str, Any]:
    import cloudpickle

    kind, value = cloudpickle.loads(job.paths.result_pickle.read_bytes())
    return kind, value
