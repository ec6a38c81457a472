"""Ranks that wait for rank 0, longer than a collective would."""

import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from curate.errors import InputError
from curate.training.loop import waiting
from curate.training.loop.distributed import ALONE
from curate.training.loop.waiting import done_by_main
from tests.training.ranks import run_on_ranks


def wait_in_all_ways(world):
    """Work longer than the limit of collectives, work that fails, and work without a sign."""
    group = dist.distributed_c10d._get_default_group()
    dist.distributed_c10d._set_pg_timeout(timedelta(seconds=1), group)
    waiting.TELL_S = 1.0
    told = []
    found = done_by_main(lambda: time.sleep(3.5) or {"a": [1]}, world, "counts", told.append)
    errors = []
    for work in (no_shards, lambda: {}["x"]):
        try:
            done_by_main(work, world, "fails")
        except Exception as caught:
            errors.append(f"{type(caught).__name__}: {caught}")
    waiting.BEAT_S = 100.0 if world.is_main else 0.1
    waiting.SILENT_S = 1.0
    try:
        silence = done_by_main(lambda: time.sleep(4), world, "sleeps")
    except Exception as caught:
        silence = str(caught)
    return found, told, errors, silence


def no_shards():
    raise InputError("no shards")


@pytest.mark.slow
def test_the_others_wait_longer_than_a_collective_would_and_hear_how_it_ends(tmp_path):
    main, other = run_on_ranks(wait_in_all_ways, 2, tmp_path)
    assert main[0] == other[0] == {"a": [1]}
    assert main[1] == [] and other[1][0] == "waiting for rank 0, which counts, for 0 minutes"
    assert main[2] == ["InputError: no shards", "KeyError: 'x'"]
    assert other[2] == ["InputError: no shards", "CurateError: rank 0 ended with KeyError: 'x'"]
    assert main[3] is None and "gave no sign of life" in other[3] and "while it sleeps" in other[3]


def test_alone_the_work_is_done_at_once():
    assert done_by_main(lambda: 5, ALONE, "counts") == 5
    with pytest.raises(KeyError):
        done_by_main(lambda: {}["x"], ALONE, "counts")
