"""Run a function, or a command, in several processes that form one gloo group on loopback."""

import multiprocessing
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import torch

from curate.training.loop.distributed import joined_world
from tests.in_process import run_here

# Ranks are forks of a process that has imported PyTorch, which takes each of them seconds.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["torch", "torch._dynamo"])


def run_on_ranks(function, size, folder, *arguments):
    """Call ``function(world, *arguments)`` on every rank; return what each returned.

    Args:
        function: importable by name.
        size: processes.
        folder: for the results.
        arguments: picklable.
    """
    return _on_ranks(_in_group, size, folder, function, *arguments)


def run_command_on_ranks(words, size, folder):
    """Run a command of `curate`, its words behind the name, on every rank, as torchrun starts it.

    Returns:
        What each rank printed.
    """
    return _on_ranks(run_here, size, folder, words)


def _on_ranks(function, size, folder, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
              "WORLD_SIZE": str(size), "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    torch.save((function, arguments), given := Path(folder) / "given.pt")
    workers = []
    for rank in range(size):
        environment = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        files = (str(given), str(Path(folder) / f"{rank}.pt"))
        workers.append(_FORKED.Process(target=_work, args=(environment, *files)))
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


def _work(environment: Mapping[str, str], given: str, result: str):
    os.environ.clear()  # of the process that is forked, which is as old as its first rank
    os.environ.update(environment)
    torch.set_num_threads(1)
    function, arguments = torch.load(given, weights_only=False)
    torch.save(function(*arguments), result)


def _in_group(function, *arguments):
    with joined_world("cpu") as world:
        return function(world, *arguments)
