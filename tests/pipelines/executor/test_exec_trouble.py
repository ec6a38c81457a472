"""Leases that others take, logs that cannot be written, errors that come home from workers."""

import os
import pickle
import time
from contextlib import contextmanager

import pytest

from curate.errors import ArtifactError, CurateError, MissingExtraError
from curate.files import storage
from curate.pipelines.executor import lease as exec_lease
from curate.pipelines.executor import slurm
from curate.pipelines.executor.cluster import Cluster, use_cluster
from curate.pipelines.executor.journal import Journal
from curate.pipelines.executor.lease import driving, holder
from curate.pipelines.executor.log import WorkerLog
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.executor.task import Failure
from curate.pipelines.status.log import LogReader


def _double(_, task):
    return 2 * task


@pytest.mark.parametrize("is_done", [False, True])
def test_a_driver_that_wakes_up_after_another_took_over_does_no_more(
    tmp_path, monkeypatch, is_done
):
    monkeypatch.setattr(exec_lease, "STALE_S", 0.0)  # as if it had slept for longer
    output = str(tmp_path / "matched")
    path = tmp_path / ".curate/matched/lease.json"
    done = []
    with pytest.raises(ArtifactError, match="took this output over"), driving(output, "match"):
        journal = Journal(output, 5, {"parameters": "p"})
        work = run_parts(_double, range(5), workers=1, setup=int, arguments=())
        done.append(next(work))
        journal.note(0, 1, {"read": 1})
        theirs = storage.read_json(str(path)) | {"token": "other"}
        path.unlink()
        if not is_done:
            storage.write_json(str(path), theirs)
        for step in (journal.flush, journal.close, journal.forget):
            with pytest.raises(ArtifactError, match="took this output over"):
                step()
        done += work
    assert done == [0] and not os.path.exists(output)
    assert (storage.read_json(str(path)) if path.exists() else None) == (
        None if is_done else theirs
    )


def test_a_lease_that_another_took_in_the_last_moment_is_left_to_it(tmp_path):
    output = str(tmp_path / "matched")
    path = str(tmp_path / ".curate/matched/lease.json")
    with pytest.raises(ArtifactError, match="took this output over"), driving(output, "match"):
        storage.write_json(path, storage.read_json(path) | {"token": "other"})
    assert storage.read_json(path)["token"] == "other"


def test_a_lease_whose_request_was_sent_twice_is_ours_and_a_broken_one_nobodys(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(exec_lease, "BEAT_S", 0.01)
    create = storage.create_json
    monkeypatch.setattr(storage, "create_json", lambda *a: create(*a) and create(*a))
    with driving(str(tmp_path / "matched"), "match"):
        pass
    (tmp_path / ".curate/matched/lease.json").write_text("")  # the power went
    with driving(str(tmp_path / "matched"), "match"):
        assert holder(str(tmp_path / "matched"))["pid"] == os.getpid()


def test_a_command_that_fails_leaves_no_empty_folder_and_nothing_of_others_goes(tmp_path):
    def fail(output):
        with driving(str(output), "match"):
            raise CurateError("refused")

    (tmp_path / "mine").mkdir()
    for output in (tmp_path / "mis/typed/matched", tmp_path / "mine/matched"):
        with pytest.raises(CurateError, match="refused"):
            fail(output)
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_what_killed_workers_left_half_written_is_no_part_of_the_output(tmp_path):
    half = tmp_path / "matched/pairs/.tmp-0123-00000.parquet"
    with driving(str(tmp_path / "matched"), "match"):
        half.parent.mkdir(parents=True)
        half.write_bytes(b"PAR1")
    assert not list(half.parent.iterdir())


def test_a_log_that_a_store_does_not_take_fails_neither_part_nor_run(monkeypatch, capsys):
    class EndpointError(Exception):  # the clients' own errors are no OSError
        pass

    @contextmanager
    def fail(path):
        raise EndpointError(path)
        yield

    monkeypatch.setattr(storage, "publish", fail)
    log = WorkerLog("memory://unwritable/log")
    log.write("plan", run="r")
    log.flush()
    assert capsys.readouterr().err.count("the log could not be written (EndpointError") == 2


def test_a_line_that_was_cut_off_takes_no_other_with_it(tmp_path):
    folder = tmp_path / ".curate/out/log"
    log = WorkerLog(str(folder))
    about = {"run": "r", "stage": "s"}
    log.write("plan", **about, parts=2, executor="local")
    (file,) = folder.iterdir()
    with file.open("a") as half:
        half.write('{"time": 1, "event": "do\n')
    for part in range(2):
        log.write("start", **about, part=part)
        log.write("done", **about, part=part, seconds=1.0)
    assert LogReader(str(tmp_path / "out")).figures()["done"] == 2


def test_an_error_of_ours_comes_home_whatever_it_is_made_of():
    error = MissingExtraError("reading", "extract")
    found = pickle.loads(pickle.dumps(Failure(error))).error
    assert type(found) is MissingExtraError and str(found) == str(error)


def test_waiting_for_another_try_has_an_end(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def work(_, task):
        raise TimeoutError

    with use_cluster(Cluster(retries=12)), pytest.raises(TimeoutError):
        list(run_parts(work, [0], workers=1, setup=int, arguments=(), anywhere=True))
    assert len(waited) == 12 and max(waited) == 60.0


def test_jobs_that_cannot_be_cancelled_are_named_with_what_scancel_said(tmp_path, monkeypatch):
    jobs, bin_ = tmp_path / "submitted/1/jobs", tmp_path / "bin"
    for folder in (jobs, bin_):
        folder.mkdir(parents=True)
    (jobs / "77_0_0_log.err").touch()
    commands = {"squeue": "echo 77_0 77; echo 99_1 99", "scancel": "echo $* denied >&2; exit 1"}
    for name, line in commands.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{line}\n")
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_ORPHANS_END_S", 0.1)
    monkeypatch.setattr(slurm, "_POLL_S", 0.2)
    with pytest.raises(CurateError, match=r"do not end \(77, 77_0; scancel: 77 77_0 denied\)"):
        slurm._end_orphans(tmp_path / "submitted", "curate-x")
    assert (tmp_path / "submitted").exists()
    (bin_ / "squeue").write_text("#!/bin/sh\n")
    slurm._end_orphans(tmp_path / "submitted", "curate-x")
    assert not (tmp_path / "submitted").exists()
