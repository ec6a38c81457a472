"""Run a function in several processes that form one gloo group on loopback."""

import multiprocessing
import os
import socket
from pathlib import Path

import torch

from curate.training.loop.distributed import joined_world


def run_on_ranks(function, size, folder, *arguments):
    """Call ``function(world, *arguments)`` on every rank; return what each returned.

    Args:
        function: importable by name.
        size: processes.
        folder: for the results.
        arguments: picklable.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(function, rank, size, port, str(folder), arguments))
        for rank in range(size)
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join(100)
        codes = [worker.exitcode for worker in workers]
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
                worker.join()
    assert codes == [0] * size, f"exit codes {codes}"
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(size)]


def _work(function, rank, size, port, folder, arguments):
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank),
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    torch.set_num_threads(1)
    with joined_world("cpu") as world:
        result = function(world, *arguments)
    torch.save(result, Path(folder) / f"{rank}.pt")
