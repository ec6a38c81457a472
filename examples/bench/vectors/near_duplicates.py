"""How near-duplicates among many vectors are found: time, memory, and how many of them.

    python -m examples.bench.vectors.near_duplicates search [--kind random|clustered] [--vectors N]
    python -m examples.bench.vectors.near_duplicates command FOLDER [--vectors 10000000]

A tenth of the vectors are copies of another part's, at cosines of about 0.9 to 1. `random` ones
have nothing else in common. `clustered` ones are as a model's are: in a cone, around 50,000
directions of Zipf's sizes that lie around 500 others, and vary more in some dimensions than others.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from examples.bench.common.measure import ROOT, most_of, peak_bytes, resident_bytes, timed

app = typer.Typer()

ROWS = 50_000  # of a part
COARSE, FINE = 500, 100
SHARES = (0.35, 0.2, 0.2, 0.25)  # of squared length: the cone, coarse and fine direction, the rest
KINDS = ("random", "clustered")


@cache
def directions(width: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Return all that vectors lie around, how each dimension varies, and shares of directions."""
    rng = np.random.default_rng(12)
    scale = np.sqrt(1.0 / (20.0 + np.arange(width)))
    scale = (scale / np.linalg.norm(scale)).astype(np.float32)
    cone, coarse, fine = (
        np.sqrt(np.float32(share)) * scale * rng.standard_normal((num, width), np.float32)
        for share, num in zip(SHARES[:3], (1, COARSE, COARSE * FINE), strict=True)
    )
    at = np.arange(COARSE * FINE)
    sizes = 1.0 / ((1.0 + at // FINE) * (1.0 + at % FINE))
    return cone + coarse[at // FINE] + fine, scale, sizes / sizes.sum()


def base(number: int, rows: int, width: int, kind: str) -> NDArray[np.float32]:
    """Return the first vectors of a part, none of them a copy; of unit length."""
    found = np.random.default_rng([1, number]).standard_normal((rows, width), np.float32)
    if kind == "clustered":
        around, scale, shares = directions(width)
        found *= scale * np.sqrt(np.float32(SHARES[3]))
        draw = np.random.default_rng([2, number]).random(rows)
        found += around[np.minimum(np.searchsorted(np.cumsum(shares), draw), len(shares) - 1)]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def block(number: int, parts: int, rows: int, width: int, kind: str) -> NDArray[np.float16]:
    """Return the vectors of a part: the last tenth are near the next part's first ones."""
    found, num = base(number, rows, width, kind), rows // 10
    other = base((number + 1) % parts, num, width, kind)
    rng = np.random.default_rng([3, number])
    angle = rng.uniform(0, 0.45, (num, 1)).astype(np.float32)
    noise = rng.standard_normal((num, width), np.float32)
    if kind == "clustered":
        noise *= directions(width)[1]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    near = np.cos(angle) * other + np.sin(angle) * noise
    found[rows - num :] = near / np.linalg.norm(near, axis=1, keepdims=True)
    return found.astype(np.float16)


def sizes(num: int) -> tuple[int, int]:
    """Return how many parts so many vectors are, and the rows of each."""
    parts = max(2, num // ROWS)
    return parts, num // parts


def write_vectors(folder: Path, num: int, width: int, kind: str) -> None:
    """Write vectors and random fingerprints as `embed` does, part by part."""
    from curate.curation.vectors.perceptual import HASH_BYTES
    from curate.pipelines.embedded.plan import EmbeddedPlan, Source, embedding_schema
    from curate.pipelines.store import artifacts

    parts, rows = sizes(num)
    about = {"image": {"width": width, "sha256": kind}}
    parameters = {"source": "shards", "columns": about, "fingerprints": True}
    plan = EmbeddedPlan(str(folder), parameters, [Source(f"{p:05d}", "") for p in range(parts)])
    plan.write()
    schema = embedding_schema({"image": width}, with_images=True)
    for part in range(parts):
        stamp = {"parameters": artifacts.digest(parameters), "source": plan.sources[part].as_dict()}
        rng = np.random.default_rng([4, part])
        columns = {f.name: pa.nulls(rows, f.type) for f in schema}
        ids = pa.array([f"{part * rows + row:024x}" for row in range(rows)])
        columns["pair_id"] = columns["image_id"] = ids
        for name, num_bytes in (("image_xxh3", 16), ("image_hash", HASH_BYTES)):
            columns[name] = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(num_bytes), rows, [None, pa.py_buffer(rng.bytes(rows * num_bytes))]
            )
        for name in ("width", "height"):
            columns[name] = pa.array(np.full(rows, 224, np.uint32))
        values = pa.array(block(part, parts, rows, width, kind).reshape(-1))
        columns["image"] = pa.FixedSizeListArray.from_arrays(values, width)
        with artifacts.parquet_writer(plan.path(part), schema) as writer:
            writer.write(pa.record_batch(list(columns.values()), schema=schema))
            writer.close(stamp, "")
    summary = {"plan": plan.digest(), "pairs": parts * rows, "parts": parts,
               "image_vectors": parts * rows}  # fmt: skip
    artifacts.write_json(f"{folder}/summary.json", summary)


def fallen_rows(folder: Path, num: int) -> NDArray[np.bool_]:
    """Return which rows of all fall."""
    from curate.pipelines.store import artifacts

    found = np.zeros(num, bool)
    for path in sorted((folder / "pairs").glob("*.parquet")):
        ids = artifacts.read_table(str(path), ["pair_id"]).column(0).to_pylist()
        found[[int(one, 16) for one in ids]] = True
    return found


def recall_of_all(vectors: NDArray[np.float32], fallen: NDArray[np.bool_], least: float) -> str:
    """Say of how many pairs that brute force finds to be alike one falls."""
    near = found = 0
    for first in range(0, len(vectors), 1024):
        some = vectors[first : first + 1024]
        row, other = np.nonzero(some @ vectors[first:].T >= least)
        row, other = row[row < other], other[row < other]
        near += len(row)
        found += int((fallen[first + row] | fallen[first + other]).sum())
    return f"of {near:,} pairs of brute force, {found / max(1, near):.5f} have one that falls"


def recall_of_planted(num: int, width: int, kind: str, fallen: NDArray[np.bool_], least: float,
                      every: int) -> str:  # fmt: skip
    """Say of how many planted pairs that are alike one falls; of every so many-th part."""
    parts, rows = sizes(num)
    near = found = 0
    for part in range(0, parts, every):
        copies = block(part, parts, rows, width, kind)[rows - rows // 10 :].astype(np.float32)
        of = base((part + 1) % parts, rows // 10, width, kind).astype(np.float16)
        alike = np.einsum("ne,ne->n", copies, of.astype(np.float32)) >= least
        both = fallen[(part + 1) * rows - rows // 10 : (part + 1) * rows]
        both = both | fallen[(part + 1) % parts * rows :][: rows // 10]
        near += int(alike.sum())
        found += int((both & alike).sum())
    return f"of {near:,} planted pairs, {found / max(1, near):.5f} have one that falls"


@app.command()
def search(
    vectors: Annotated[int, typer.Option(help="to compare")] = 100_000,
    width: Annotated[int, typer.Option(help="of each")] = 512,
    epsilon: Annotated[float, typer.Option(help="as for dedup")] = 0.05,
    kind: Annotated[str, typer.Option(help="random or clustered")] = "random",
    workers: Annotated[int, typer.Option(help="threads")] = 1,
    brute: Annotated[bool, typer.Option(help="compare with brute force")] = True,
) -> None:
    """Find near-duplicates by vectors alone, in this process; compare with brute force."""
    from curate.pipelines.dedup import DedupOptions, dedup_pairs

    parts, rows = sizes(vectors)
    with tempfile.TemporaryDirectory(prefix="curate-vectors-") as name:
        folder = Path(name)
        write_vectors(folder / "embeddings", vectors, width, kind)
        cpu, wall, _, found = timed(partial(
            dedup_pairs, embeddings=str(folder / "embeddings"), output=str(folder / "deduped"),
            options=DedupOptions(methods=("semantic",), epsilon=epsilon), quiet=True,
            workers=workers,
        ))  # fmt: skip
        peak = peak_bytes() / 2**30
        print(f"{vectors:,} {kind} x {width}: {found['fallen']}, clusters {found['clusters']}, "
              f"{cpu:.1f} s of processor, {1000 * cpu / vectors:.4f} ms a vector, {wall:.1f} s, "
              f"peak {peak:.2f} GB", flush=True)  # fmt: skip
        fallen = fallen_rows(folder / "deduped", vectors)
    print(recall_of_planted(vectors, width, kind, fallen, 1 - epsilon, 1), flush=True)
    if brute:
        whole = np.concatenate([block(p, parts, rows, width, kind) for p in range(parts)])
        print(recall_of_all(whole.astype(np.float32), fallen, 1 - epsilon), flush=True)


def measured(words: list[str], log: Path) -> dict[str, Any]:
    """Run a command; return its result, memory of all its processes at most, and times."""
    began = time.perf_counter()
    with log.open("w") as messages:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=messages, cwd=ROOT)
        with most_of(partial(resident_bytes, process.pid), 0.25) as peak:
            out, _ = process.communicate()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed: see {log}")
    return {
        "result": json.loads(out),
        "peak_gb": peak[0] / 1e9, "maxrss_gb": usage.ru_maxrss * 1024 / 1e9,
        "processor_s": usage.ru_utime + usage.ru_stime, "wall_s": time.perf_counter() - began,
    }  # fmt: skip


@app.command()
def command(
    folder: Annotated[Path, typer.Argument(help="for vectors and results: 1.1 kB a vector, twice")],
    vectors: Annotated[int, typer.Option(help="to compare")] = 10_000_000,
    width: Annotated[int, typer.Option(help="of each")] = 512,
    kind: Annotated[str, typer.Option(help="random or clustered")] = "clustered",
    epsilon: Annotated[float, typer.Option(help="as for dedup")] = 0.05,
    methods: Annotated[str, typer.Option(help="as for dedup")] = "exact,perceptual,semantic",
    workers: Annotated[int, typer.Option(help="as for dedup")] = 2,
    keep: Annotated[bool, typer.Option(help="leave the vectors there")] = False,
) -> None:
    """Run `curate dedup` on vectors in files; measure its memory, time, and planted pairs found."""
    embeddings, output = folder / "embeddings", folder / "deduped"
    if not (embeddings / "summary.json").exists():
        took = timed(partial(write_vectors, embeddings, vectors, width, kind))
        print(f"written in {took.processor_s:.0f} s of processor", flush=True)
    words = [sys.executable, "-m", "curate.cli.main", "dedup", "--embeddings", str(embeddings),
             "-o", str(output), "--report-only", "--overwrite", "--json", "--methods", methods,
             "--epsilon", str(epsilon), "--workers", str(workers), "-w", str(folder)]  # fmt: skip
    print(json.dumps(measured(words, folder / "messages.txt")), flush=True)
    parts, rows = sizes(vectors)
    fallen = fallen_rows(output, parts * rows)
    every = max(1, parts // 20)
    print(recall_of_planted(vectors, width, kind, fallen, 1 - epsilon, every), flush=True)
    if not keep:
        shutil.rmtree(embeddings)
        shutil.rmtree(output)


if __name__ == "__main__":
    app()
