"""`curate match` and `curate balance` end to end, with their memory, against the reference."""

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.metadata.entries import assemble_entries, metadata_hash
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import write_indices
from examples.bench.common.measure import ran, timed
from examples.bench.matching.texts import TEXT_CHARACTERS, english

__all__ = ["bench_help", "bench_second_worker", "bench_stages", "write_workspace"]

CURATE = Path(sys.executable).with_name("curate")
ROW_GROUP_ROWS = 100_000
NUM_REFERENCE_TEXTS = 100_000


def write_workspace(folder: Path, num_entries: int, num_texts: int, num_files: int) -> list[Path]:
    """Write metadata of English and files of pairs; their texts repeat from file to file.

    Returns:
        The files, `num_texts` pairs each.
    """
    entries, texts = english(num_entries, num_texts)
    table, _ = assemble_entries({"unigram": [(e, 1.0) for e in entries]}, 256)
    sha256 = metadata_hash(table.column("entry").to_pylist())
    stamp = {"made_from": {"lang": "en"}, "sha256": sha256, "report": {}}
    artifacts.write_table(str(folder / "metadata/en.parquet"), table, stamp, sha256)
    write_indices(str(folder / "metadata"), "en", table.column("entry"), sha256)
    manifest = {
        "schema_version": artifacts.SCHEMA_VERSION,
        "languages": {"en": {"sha256": sha256, "entries": table.num_rows}},
    }
    artifacts.write_json(str(folder / "metadata/manifest.json"), manifest)
    (folder / "entries.txt").write_text("\n".join(entries))
    # The words are of no language; so many English ones make LID take most texts for English.
    strings = pa.array([f"this is a photo of the {text}"[:TEXT_CHARACTERS] for text in texts])
    rng, numbers, files = np.random.default_rng(0), pa.array(np.arange(num_texts)), []
    for i in range(num_files):
        urls = pc.binary_join_element_wise(
            f"https://example.org/{i}/", numbers.cast(pa.string()), ".jpg", ""
        )
        shuffled = strings.take(pa.array(rng.permutation(num_texts)))
        files.append(folder / f"{i:03d}.parquet")
        pairs = pa.table({"url": urls, "text": shuffled})
        pq.write_table(pairs, files[-1], row_group_size=ROW_GROUP_ROWS)
    return files


def bench_reference(files: list[Path], folder: Path) -> float:
    """Return texts per second of the reference pipeline, a process for each of two files."""
    few = [folder / f"few-{i}.parquet" for i in range(2)]
    for source, target in zip(files[:1] * 2, few, strict=True):
        pq.write_table(pq.read_table(source).slice(0, NUM_REFERENCE_TEXTS), target)
    num: int = sum(pq.read_metadata(path).num_rows for path in few)
    module = "examples.bench.matching.reference_pipeline"
    start = time.perf_counter()
    workers = [
        subprocess.Popen([sys.executable, "-m", module, path, folder / "entries.txt", folder])
        for path in few
    ]
    if any(worker.wait() for worker in workers):
        raise RuntimeError("the reference pipeline failed")
    return num / (time.perf_counter() - start)


def bench_stages(folder: Path, num_entries: int, num_texts: int, num_files: int) -> dict[str, Any]:
    """Time the commands on two cores; their times hold everything from the start of Python on."""
    files = write_workspace(folder, num_entries, num_texts, num_files)
    num = num_texts * num_files
    reference = bench_reference(files, folder)
    common = ["--workspace", folder, "--workers", "2", "--quiet"]
    match = ran([CURATE, "match", *files, *common])
    balance = ran([CURATE, "balance", "--t", "20", *common])
    summary = json.loads((folder / "matched/summary.json").read_text())
    kept = json.loads((folder / "balanced/datacard.json").read_text())["total"]["kept"]
    return {
        "rows": num,
        "reference pipeline": reference,
        "match": num / match.clock_s,
        "ratio": num / match.clock_s / reference,
        "match peak GB": match.peak_bytes / 1e9,
        "pairs": summary["matched"],
        "kept": kept,
        "balance, pairs/s": summary["matched"] / balance.clock_s,
        "balance, pairs/s per core": summary["matched"] / balance.processor_s,
        "balance peak GB": balance.peak_bytes / 1e9,
    }


_SECOND_WORKER = """
import re, sys
import pyarrow as pa
from curate.curation.matching.index import unpack_index
from curate.files import storage
path = sys.argv[1]
matcher = unpack_index(storage.map_file(path), path)
matcher.match(pa.array(["this is a photo"] * 1000))
print("ready", flush=True)
sys.stdin.readline()
maps = open("/proc/self/smaps").read().split("VmFlags")
mine = [m for m in maps if path in m]
print(sum(int(n) for m in mine for n in re.findall(r"Private_(?:Clean|Dirty): +(\\d+)", m)))
"""


def bench_second_worker(folder: Path) -> dict[str, Any]:
    """Return how much of an index a second process has for itself, in per cent of its size."""
    path = folder / "metadata/en.index"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _SECOND_WORKER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for worker in workers:  # both have the whole index in use before either is asked
        if worker.stdout is None or worker.stdout.readline() != "ready\n":
            raise RuntimeError("a worker failed")
    outputs = [worker.communicate("\n")[0] for worker in workers[::-1]]
    private = int(re.findall(r"\d+", outputs[0])[0]) * 1024
    size = path.stat().st_size
    return {"index MB": size / 1e6, "private to the second, %": 100 * private / size}


def bench_help() -> dict[str, Any]:
    """Return the seconds of `curate --help`, the median of some runs."""
    command = [str(CURATE), "--help"]
    seconds = [
        timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)).clock_s
        for _ in range(9)
    ]
    return {"curate --help, s": statistics.median(seconds)}
