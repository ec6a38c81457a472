"""A Slurm cluster of one node on loopback, of Debian's packages slurm-wlm and munge."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmctldPort={ctld_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
KillWait=2
MinJobAge=10
MaxArraySize=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def missing() -> str | None:
    """Say why there can be no cluster here; None if there can."""
    programs = [p for p in ("munged", "slurmctld", "slurmd", "sbatch") if not _which(p)]
    if programs:
        return f"{', '.join(programs)}: not installed; apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "a Slurm cluster is started by root only"


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Run a cluster; yield the environment in which Slurm's commands find it."""
    for name in ("spool", "state"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(
        _CONF.format(folder=folder, host=host, ctld_port=_free_port(), node_port=_free_port(),
                     cpus=len(os.sched_getaffinity(0)))
    )  # fmt: skip
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munged = [_which("munged"), "--foreground", "--force", f"--key-file={key}",
              f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid",
              f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]  # fmt: skip
    daemons = []
    try:
        for command in (munged, [_which("slurmctld"), "-D", "-f", conf, "-i"],
                        [_which("slurmd"), "-D", "-f", conf, "-N", host]):  # fmt: skip
            with (folder / "daemons.log").open("ab") as log:
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            _wait_for_file(folder / "munge.socket")
        _wait_until_idle(environment, folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, check=False,
                       capture_output=True)  # fmt: skip
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _wait_for_file(path: Path) -> None:
    for _ in range(300):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not appear")


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    for _ in range(600):
        found = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"], env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        if found.stdout.strip() == "idle":
            return
        time.sleep(0.1)
    logs = "\n".join(p.read_text()[-2000:] for p in sorted(folder.glob("*.log")))
    raise AssertionError(f"the node is {found.stdout.strip() or found.stderr}:\n{logs}")
