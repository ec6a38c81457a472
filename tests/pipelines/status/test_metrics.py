"""The port of figures: who may ask, and that nothing in the answer is obeyed."""

import socket
import urllib.request

import pytest

from curate.errors import CurateError
from curate.pipelines.executor.lease import driving
from curate.pipelines.executor.log import WorkerLog
from curate.pipelines.status import metrics
from curate.pipelines.status.log import LogReader, RunState
from curate.pipelines.status.metrics import serving_metrics


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def listening(port):
    """Return the addresses that this machine listens on at a port, as the kernel lists them."""
    with open("/proc/net/tcp") as four, open("/proc/net/tcp6") as six:
        rows = [line.split() for table in (four, six) for line in list(table)[1:]]
    found = {row[1].rpartition(":") for row in rows if row[3] == "0A"}
    return {place for place, _, at in found if int(at, 16) == port}


def test_figures_are_served_to_this_machine_alone_unless_a_host_is_named(port):
    with serving_metrics(port):
        assert listening(port) == {"0100007F"}
    with serving_metrics(port, "127.0.0.2"):
        assert listening(port) == {"0200007F"}


def test_a_host_that_is_not_here_is_one_sentence(port):
    with pytest.raises(CurateError, match=f"--metrics-port {port} on 203.0.113.1.*--metrics-host"):
        with serving_metrics(port, "203.0.113.1"):
            raise AssertionError("it serves at somebody else's address")


def test_names_and_reasons_in_figures_are_inert_and_without_secrets(tmp_path, port, monkeypatch):
    output = str(tmp_path / "a\x1b[31m" / "matched")
    run = {"stage": "st\x1bage", "parts": 1, "done": 1, "running": 0, "failed": 0, "retries": 0,
           "parts_per_s": 1.0, "records_per_s": 1.0, "eta_s": None, "median_part_s": 1.0,
           "slowest_running": [], "read": 2, "dropped": {"f:\x1b]0;gone\x07": 2}}  # fmt: skip
    monkeypatch.setattr(metrics.LogReader, "figures", lambda _: run)
    monkeypatch.setattr(metrics, "driven_outputs", lambda: [output, "s3://me:pw@b/matched"])
    with serving_metrics(port):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert "\x1b" not in answer and "\x07" not in answer
    assert "pw" not in answer and 's3://b/matched"' in answer and "f:" in answer


def test_errors_in_logs_hold_no_secrets(tmp_path):
    output = str(tmp_path / "out")
    with driving(output, "match"):
        folder = str(tmp_path / ".curate/out/log")
        WorkerLog.of(folder).write("failed", run="r", stage="s", part=0,
                                   error="https://me:pw@h/a?sig=abc: 403")  # fmt: skip
    (log,) = (tmp_path / ".curate/out/log").glob("*.jsonl")
    assert "https://h/a: 403" in log.read_text()


def test_rates_leave_out_the_time_that_was_spent_compiling():
    run, about = RunState(), {"run": "r", "stage": "match_part", "host": "h", "time": 110.0}
    run.add({**about, "event": "plan", "time": 0.0, "pid": 0, "parts": 4, "executor": "local"})
    for part, pid, compiling in ((0, 1, 30.0), (1, 1, 0.0), (2, 2, 10.0)):
        line = {**about, "event": "done", "pid": pid, "part": part, "seconds": 40.0, "read": 900}
        run.add({**line, "compiling_s": compiling} if compiling else line)
    found = run.figures(is_alive=True, now=110.0)  # two processes lost 20 s of the 110 on average
    assert found["records_per_s"] == 2700 / 90 and found["eta_s"] == 30.0
    assert run.figures(is_alive=True, now=320.0)["records_per_s"] == 2700 / 300


def test_of_two_runs_of_one_moment_the_later_one_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1000.0)
    log = WorkerLog.of(str(tmp_path / ".curate/out/log"))
    for run, parts in (("a", 2), ("b", 3)):
        log.write("plan", run=run, stage="s", parts=parts, executor="local")
    assert LogReader(str(tmp_path / "out")).latest().parts == 3
