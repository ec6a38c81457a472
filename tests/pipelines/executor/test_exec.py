"""Executors, leases, journals and logs, each by itself."""

import json
import os
import socket
import threading
import time

import httpx2 as httpx
import numpy as np
import pyarrow as pa
import pytest

from curate.errors import ArtifactError, CurateError, UsageError
from curate.files import storage
from curate.files.listing import file_sizes, sizes_and_times
from curate.pipelines.executor import lease as exec_lease
from curate.pipelines.executor import task as exec_task
from curate.pipelines.executor.blas import blas_threads
from curate.pipelines.executor.cluster import Cluster, current_cluster, use_cluster
from curate.pipelines.executor.faults import is_transient
from curate.pipelines.executor.journal import JOURNAL, PARTS, Journal
from curate.pipelines.executor.lease import beside, driven_outputs, driving, holder, run_folder
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.readers import plan_parts
from curate.pipelines.matched import counting
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.status.log import LogReader
from curate.pipelines.status.metrics import write_metrics
from tests.pipelines.helpers import WORDS, contents, match, texts, write_metadata, write_pairs


def test_a_cluster_is_used_within_its_block_and_checked():
    with use_cluster(Cluster(kind="ray", retries=1)) as cluster:
        assert current_cluster() is cluster
    assert current_cluster().kind == "local"
    with pytest.raises(UsageError, match="--executor is 'dask'; expected local, ray, slurm"):
        Cluster(kind="dask")
    with pytest.raises(UsageError, match="--slurm-array-size is 0"):
        Cluster(kind="slurm", slurm_array_size=0)


def test_slurm_without_a_folder_that_nodes_share_is_refused():
    with use_cluster(Cluster(kind="slurm")), pytest.raises(UsageError, match="--slurm-folder"):
        list(run_parts(_double, [1], workers=1, setup=int, arguments=(), anywhere=True))


def _double(_, task):
    return 2 * task


_ASKED = httpx.Request("GET", "https://hub.example/api/datasets/none")


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (httpx.ConnectError("[Errno -2] Name or service not known"), True),
        (httpx.HTTPStatusError("404", request=_ASKED, response=httpx.Response(404)), False),
        (OSError(16, "SlowDown"), True),
        (OSError(28, "No space left on device"), False),
        (FileNotFoundError(), False),
        (OSError("Couldn't deserialize thrift"), False),
        (pa.ArrowInvalid("no Parquet"), False),
    ],
)
def test_which_faults_pass(error, passes):
    assert is_transient(error) == passes
    wrapped = CurateError("reading it failed")
    wrapped.__cause__ = error
    assert is_transient(wrapped) == passes


@pytest.mark.parametrize("threads", [False, True])
def test_a_part_is_tried_again_after_a_fault_that_passes_and_not_after_another(
    tmp_path, monkeypatch, threads
):
    monkeypatch.setattr(exec_task, "_FIRST_WAIT_S", 0.0)
    failures = {1: [TimeoutError(), ConnectionResetError()], 2: [CurateError("no such column")]}

    def work(_, task):
        if failures.get(task):
            raise failures[task].pop()
        return task

    output = str(tmp_path / "out")
    with driving(output, "test"):
        found = list(run_parts(work, [0, 1], workers=1, setup=int, arguments=(), threads=threads))
        assert found == [0, 1]
        with pytest.raises(CurateError, match="no such column"):
            list(run_parts(work, [2], workers=1, setup=int, arguments=(), threads=threads))
    (log,) = (tmp_path / ".curate/out/log").glob("*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = [(line["event"], line.get("part")) for line in lines]
    assert events == [
        ("plan", None), ("start", 0), ("done", 0),
        ("start", 1), ("retry", 1), ("start", 1), ("retry", 1), ("start", 1), ("done", 1),
        ("plan", None), ("start", 2), ("failed", 2),
    ]  # fmt: skip
    run = LogReader(output).figures()
    assert run["driver"] is None and run["failed"] == 1 and run["running"] == 0
    assert run["errors"][0]["error"].endswith("no such column")


def test_a_second_driver_is_refused_and_a_dead_one_followed(tmp_path):
    output = str(tmp_path / "matched")
    path = tmp_path / ".curate/matched/lease.json"
    with driving(output, "match"):
        assert holder(output)["pid"] == os.getpid() and run_folder() == beside(output)
        assert driven_outputs() == [output]
        with pytest.raises(ArtifactError, match=r"`curate match` \(process \d+ on .*works on it"):
            with driving(output, "match"):
                raise AssertionError
        dead = json.loads(path.read_text()) | {"started": "1"}  # its number is another's now
    assert holder(output) is None and not path.exists()
    storage.write_json(str(path), dead)
    with driving(output, "match"):
        assert holder(output)["token"] != dead["token"]


def test_a_driver_of_another_machine_is_given_up_only_when_it_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(exec_lease, "BEAT_S", 0.05)
    output = str(tmp_path / "matched")
    path = f"{beside(output)}/lease.json"
    lease = {"token": "x", "command": "match", "host": "far", "machine": "far", "pid": 1,
             "started": "1", "time": time.time(), "beat": 0}  # fmt: skip
    storage.write_json(path, lease)
    with pytest.raises(ArtifactError, match="on far"), driving(output, "match"):
        raise AssertionError
    late = lease | {"time": time.time() - 1000}  # a clock that is late, or a driver that died
    storage.write_json(path, late)
    is_over = threading.Event()

    def beat():
        number = 0
        while not is_over.wait(0.01):
            number += 1
            storage.write_json(path, late | {"beat": number})

    heart = threading.Thread(target=beat)
    heart.start()
    with pytest.raises(ArtifactError, match="on far"), driving(output, "match"):
        raise AssertionError
    is_over.set()
    heart.join()
    with driving(output, "match"):
        assert holder(output)["host"] != "far"


def test_a_driver_whose_output_was_taken_over_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(exec_lease, "BEAT_S", 0.01)
    output = str(tmp_path / "matched")
    path = f"{beside(output)}/lease.json"
    with pytest.raises(ArtifactError, match="took this output over"):
        with driving(output, "match"):
            other = storage.read_json(path) | {"token": "other"}
            while any(thread.name == "lease" for thread in threading.enumerate()):
                storage.write_json(path, other)  # again: a beat may just have been under way
                time.sleep(0.005)
    assert storage.read_json(path)["token"] == "other"


def write_part(folder, index, size):
    path = folder / f"pairs/{index:05d}.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * size)


def test_the_journal_knows_what_is_there_and_ends_the_same_in_any_order(tmp_path, monkeypatch):
    made_from = {"parameters": "p"}
    ended = []
    for name, order in (("a", [0, 1, 2, 3, 4]), ("b", [4, 2, 0, 3, 1])):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr("curate.pipelines.executor.journal._FILES_AT_MOST", 2)
        journal = Journal(str(folder), 5, made_from)
        assert journal.missing() == [0, 1, 2, 3, 4]
        for index in order:
            write_part(folder, index, index + 1)
            journal.note(index, index + 1, {"read": index})
            journal.flush()
        assert len(list((folder / JOURNAL).iterdir())) <= 3
        write_part(folder, 3, 9)  # another file than the one that was noted
        (folder / "pairs/00001.parquet").unlink()
        again = Journal(str(folder), 5, made_from)
        assert again.missing() == [1]
        again.complete(lambda index: {"read": 100 + index})
        write_part(folder, 1, 2)
        again.note(1, 2, {"read": 1})
        found = dict(again.summaries())
        assert found == {i: {"read": i if i != 3 else 103} for i in range(5)}
        again.close()
        assert not (folder / JOURNAL).exists()
        ended.append((folder / PARTS).read_bytes())
        with pytest.raises(ArtifactError, match="made with something else"):
            Journal(str(folder), 5, {"parameters": "q"})
    assert ended[0] == ended[1]


def test_counts_are_the_same_whether_a_tree_or_one_pass_counts_them(tmp_path, monkeypatch):
    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    files = [write_pairs(tmp_path / f"{i}.parquet", texts(30, i), first=30 * i) for i in range(11)]
    match(files, metadata, tmp_path / "one")
    monkeypatch.setattr(counting, "FAN_IN", 2)
    match(files, metadata, tmp_path / "tree", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "tree")
    assert not (tmp_path / "tree" / counting.COUNTING).exists()


def test_a_part_that_was_done_before_its_worker_was_lost_is_not_done_again(tmp_path):
    from curate.pipelines.match.part import Worker, match_part

    metadata = write_metadata(tmp_path / "metadata", {"en": WORDS})
    files = [write_pairs(tmp_path / "a.parquet", texts(30))]
    match(files, metadata, tmp_path / "m")
    path = tmp_path / "m/pairs/00000.parquet"
    before = path.stat().st_mtime_ns
    from curate.pipelines.match.stage import MatchOptions, _job
    from curate.pipelines.store.metadata_store import MetadataStore

    plan = MatchedPlan.read(str(tmp_path / "m"))
    store, options = MetadataStore.open(str(metadata)), MatchOptions(lang="en")
    job = _job(str(tmp_path / "m"), store, str(metadata), options, plan.parameters, None)
    index, size_bytes, summary = match_part(Worker(job), (0, plan.parts[0]))
    assert (index, size_bytes, summary.read) == (0, path.stat().st_size, 30)
    assert path.stat().st_mtime_ns == before


def test_a_file_is_cut_into_an_eighth_within_limits_and_as_asked(tmp_path, monkeypatch):
    path = write_pairs(tmp_path / "a.parquet", texts(96))
    assert [p.row_groups for p in plan_parts(str(path), "")] == [(0, 3)]
    assert [p.row_groups for p in plan_parts(str(path), "", 32)] == [(0, 1), (1, 2), (2, 3)]
    monkeypatch.setattr("curate.pipelines.inputs.readers.ROWS_PER_PART_AT_LEAST", 40)
    assert [p.num_rows for p in plan_parts(str(path), "")] == [64, 32]


def test_sizes_come_from_listings_also_behind_urls(tmp_path):
    with storage.publish("memory://listing/a.bin") as file:
        file.write(b"12345")
    assert file_sizes("memory://listing") == {"a.bin": 5}
    found = sizes_and_times(
        ["memory://listing/a.bin", "memory://listing/b.bin", str(tmp_path / "c")]
    )
    assert found[0][0] == 5 and found[1:] == [None, None]
    assert storage.create_json("memory://listing/new.json", {}) is True
    assert storage.create_json("memory://listing/new.json", {}) is False
    assert storage.create_json(str(tmp_path / "new.json"), {}) is True
    assert storage.create_json(str(tmp_path / "new.json"), {}) is False
    assert os.listdir(tmp_path) == ["new.json"]


def test_figures_for_prometheus(tmp_path):
    run = {"stage": "match_part", "parts": 8, "done": 3, "running": 2, "failed": 0, "retries": 1,
           "parts_per_s": 0.5, "records_per_s": 1e5, "eta_s": 10.0, "median_part_s": 2.0,
           "slowest_running": [{"seconds": 7.0}], "read": 3000,
           "dropped": {"no_match": 12}}  # fmt: skip
    path = tmp_path / "curate.prom"
    write_metrics(str(path), {"data/matched": run, "data/balanced": None})
    text = path.read_text()
    assert 'curate_parts_done{output="data/matched",stage="match_part"} 3.0' in text
    assert 'curate_records_dropped{output="data/matched",reason="no_match"} 12.0' in text
    assert np.isclose(text.count("data/balanced"), 0)


def test_threads_have_one_blas_thread_each_and_give_it_back():
    before = blas_threads()
    if before is None:
        pytest.skip("numpy stands on another library than OpenBLAS")
    found = list(run_parts(blas_threads_of, [0, 1, 2], workers=2, setup=dict, arguments=(),
                           threads=True))  # fmt: skip
    assert found == [1, 1, 1] and blas_threads() == before


def blas_threads_of(_state, _task):
    return blas_threads()
