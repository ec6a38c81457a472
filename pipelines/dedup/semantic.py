"""Vectors of images in; out which of them fall for another one that they are all but the same as.

Vectors are shared out to clusters, each to one to four whose borders are near, so that neighbours
on both sides of one meet; inside of a cluster all are compared, the best first. The clusters'
vectors are written to the disk, sorted, and read a *shelf* at a time: clusters of some hundred
megabytes. Memory holds a shelf per worker, whatever the number of vectors. Centres, a part's
vectors and what was found on a shelf stay in the folder until all is done, so that a run that was
killed goes on there.

Source: Abbas et al. 2023, SemDeDup, arXiv:2303.09540, section 3; the other clusters are ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from curate.curation.vectors.alike import fall_for_earlier
from curate.curation.vectors.links import NO_LINK
from curate.curation.vectors.members import Clusters, fit_clusters
from curate.curation.vectors.nearest import CLUSTER_ROWS, num_clusters
from curate.files import storage
from curate.files.remedies import damaged
from curate.pipelines.dedup.things import Things
from curate.pipelines.embedded.plan import EmbeddedPlan, vectors_of
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["semantic_links"]

_SAMPLE_PER_CENTRE = 64
_SHELF_BYTES = 192 << 20
_RUN_BYTES = 96 << 20  # that a part's vectors are sorted in
Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every worker has to know.

    Attributes:
        plan: of the vectors.
        folder: for the clusters' vectors.
        clusters: all of them.
        bounds: the first cluster of each shelf, and the number of clusters.
        wanted: of each part, its rows that take part, ascending, and their ranks.
        least: cosine of duplicates.
        stamp: of the files.
    """

    plan: EmbeddedPlan
    folder: str
    clusters: Clusters
    bounds: NDArray[np.int64]
    wanted: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    least: float
    stamp: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some of a part's vectors that go on one shelf: where they are in its file, and their sum."""

    part: int
    first: int
    num: int
    xxh3: str


def semantic_links(
    plan: EmbeddedPlan,
    things: Things,
    left: NDArray[np.bool_],
    *,
    epsilon: float,
    seed: int,
    folder: str,
    stamp: dict[str, str],
    workers: int,
    quiet: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Link things to one that stays in their cluster and whose vector is near.

    Args:
        plan: of the vectors.
        things: all of them.
        left: which of them have not fallen yet.
        epsilon: a cosine of 1 - epsilon is enough.
        seed: of the first centres.
        folder: for files in between, those of a run that was killed too; whoever calls removes it.
        stamp: of these files.
        workers: threads or jobs.
        quiet: no progress.

    Returns:
        Links, and cosines, shape (num_things,); and the number of clusters.
    """
    links, cosines = np.full(len(things), NO_LINK, np.int64), np.zeros(len(things))
    there = np.flatnonzero(left & things.has_vector)
    if not len(there):
        return links, cosines, 0
    clusters, bounds = _stored_clusters(plan, things, there, 1.0 - epsilon, seed, folder, stamp)
    job = _Job(
        plan=plan, folder=folder, clusters=clusters, least=1.0 - epsilon, stamp=stamp,
        bounds=bounds, wanted=_by_part(things, there),
    )  # fmt: skip
    pieces: list[list[_Piece]] = [[] for _ in range(len(job.bounds) - 1)]
    tasks = [part for part, (rows, _) in enumerate(job.wanted) if len(rows)]
    found = run_parts(
        _share_out, tasks, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    for of_part in progress(found, total=len(tasks), label="cluster", unit="part", quiet=quiet):
        for shelf, piece in of_part:
            pieces[shelf].append(piece)
    shelves = [(shelf, sorted(some, key=lambda piece: piece.part))
               for shelf, some in enumerate(pieces) if some]  # fmt: skip
    compared = run_parts(
        _compare, shelves, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    of_rank = np.argsort(things.rank)
    best = np.full(len(things), len(things), np.int64)  # rank of what a thing falls for
    for ranks, for_ranks, how_near in progress(
        compared, total=len(shelves), label="compare", unit="shelf", quiet=quiet
    ):
        fallen = of_rank[ranks]
        is_better = (for_ranks < best[fallen]) | (
            (for_ranks == best[fallen]) & (how_near > cosines[fallen])
        )
        fallen, for_ranks = fallen[is_better], for_ranks[is_better]
        best[fallen], cosines[fallen] = for_ranks, how_near[is_better]
        links[fallen] = of_rank[for_ranks]
    return links, cosines, len(clusters.centres)


def _same(job: _Job) -> _Job:
    return job


def _by_part(
    things: Things, some: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return of each part the rows that stand for some things, ascending, and their ranks."""
    parts, rows = things.parts_of(some)
    order = np.lexsort((rows, parts))
    parts, rows, ranks = parts[order], rows[order], things.rank[some][order]
    ends = np.searchsorted(parts, np.arange(len(things.part_starts)))
    return [(rows[a:b], ranks[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]


def _stored_clusters(
    plan: EmbeddedPlan, things: Things, there: NDArray[np.int64], least: float, seed: int,
    folder: str, stamp: dict[str, str],
) -> tuple[Clusters, NDArray[np.int64]]:  # fmt: skip
    """Return the clusters, and the bounds of shelves; those of a run before, if there are."""
    path = storage.join(folder, "clusters.parquet")
    if not _is_done(path, stamp):
        sample = _sample(plan, things, there)
        found = fit_clusters(
            sample, num_clusters(len(there)), rows=len(there), most_rows=2 * CLUSTER_ROWS, seed=seed
        )
        both = np.concatenate([found.axes, found.centres])
        column = pa.FixedSizeListArray.from_arrays(pa.array(both.reshape(-1)), both.shape[1])
        shelf = np.concatenate(
            [np.full(len(found.axes), -1), _shelves(found, sample, len(there), least)]
        )
        artifacts.write_table(path, pa.table({"along": column, "shelf": shelf}), stamp, "")
    table = artifacts.read_table(path).combine_chunks()
    column, shelf = table.column("along").combine_chunks(), table.column("shelf").to_numpy()
    both = column.flatten().to_numpy().reshape(-1, column.type.list_size)
    of_axes = np.count_nonzero(shelf < 0)
    clusters = Clusters(both[:of_axes], both[of_axes:])
    return clusters, np.searchsorted(shelf[of_axes:], np.arange(shelf[-1] + 2))


def _shelves(
    clusters: Clusters, sample: NDArray[np.float16], rows: int, least: float
) -> NDArray[np.int64]:
    """Return the shelf of each cluster: as many as the sample's members say that there is room."""
    _, found = clusters.members(sample, least)
    members = np.bincount(found, minlength=len(clusters.centres)) * rows / len(sample)
    written = np.cumsum(members) * _record(sample.shape[1]).itemsize
    shelf = np.floor_divide(written - 1, _SHELF_BYTES).astype(np.int64)
    return np.unique(shelf, return_inverse=True)[1].astype(np.int64)


def _is_done(path: str, stamp: dict[str, str]) -> bool:
    return storage.exists(path) and artifacts.read_stamp(path) == stamp


def _sample(plan: EmbeddedPlan, things: Things, there: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return the vectors of the things with the smallest keys, in their order: a draw by hash."""
    size = min(len(there), max(num_clusters(len(there)) * _SAMPLE_PER_CENTRE, 1024))
    sample = there[np.sort(np.argsort(things.keys[there], kind="stable")[:size])]
    found = np.empty((size, plan.width("image") or 0), np.float16)
    order = np.argsort(things.rank[sample])
    in_order = things.rank[sample][order]
    for part, (rows, ranks) in enumerate(_by_part(things, sample)):
        at = order[np.searchsorted(in_order, ranks)]
        for vectors, picked in _vectors_of_rows(plan, part, rows):
            found[at[picked]] = vectors
    return found


def _vectors_of_rows(
    plan: EmbeddedPlan, part: int, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float16], NDArray[np.int64]]]:
    """Yield the vectors of some rows of a part, ascending, and the places of these in `rows`."""
    if not len(rows):
        return
    first = 0
    for batch in plan.batches(part, ["image"]):
        begin, end = np.searchsorted(rows, [first, first + batch.num_rows]).tolist()
        if end > begin:
            whole, _ = vectors_of(batch.column("image"), plan.path(part))
            yield whole[rows[begin:end] - first], np.arange(begin, end)
        first += batch.num_rows


def _record(width: int) -> np.dtype[np.void]:
    return np.dtype([("rank", "<i8"), ("cluster", "<i4"), ("vector", "<f2", (width,))])


def _share_out(job: _Job, part: int) -> list[tuple[int, _Piece]]:
    """Write the vectors of a part, by cluster; return what of it goes on which shelf."""
    rows, ranks = job.wanted[part]
    pieces: list[tuple[int, _Piece]] = []
    note = _path(job, part).replace(".vectors", ".pieces.json")
    if storage.exists(note):
        return [
            (int(shelf), _Piece(part, int(first), int(num), str(xxh3)))
            for shelf, first, num, xxh3 in artifacts.read_json(note)["pieces"]
        ]
    with storage.publish(_path(job, part)) as file:
        pending: list[tuple[NDArray[np.float16], NDArray[np.int64]]] = []
        at = num_bytes = 0
        for vectors, places in _vectors_of_rows(job.plan, part, rows):
            pending.append((vectors, ranks[places]))
            num_bytes += vectors.nbytes
            if num_bytes >= _RUN_BYTES:
                at = _write_run(job, file, at, part, pending, pieces)
                pending, num_bytes = [], 0
        if pending:
            _write_run(job, file, at, part, pending, pieces)
    listed = [[shelf, one.first, one.num, one.xxh3] for shelf, one in pieces]
    artifacts.write_json(note, {"pieces": listed})
    return pieces


def _path(job: _Job, part: int) -> str:
    return storage.join(job.folder, f"{part:05d}.vectors")


def _write_run(
    job: _Job, file: IO[bytes], at: int, part: int,
    pending: Sequence[tuple[NDArray[np.float16], NDArray[np.int64]]],
    pieces: list[tuple[int, _Piece]],
) -> int:  # fmt: skip
    """Write vectors, and their ranks, by shelf; note the pieces; return where the file ends."""
    vectors, ranks = (np.concatenate(some) for some in zip(*pending, strict=True))
    rows, clusters = job.clusters.members(vectors, job.least)
    shelf = np.searchsorted(job.bounds, clusters, side="right") - 1
    order = np.argsort(shelf, kind="stable")
    ends = np.cumsum(np.bincount(shelf, minlength=len(job.bounds) - 1)).tolist()
    for number, (first, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if stop > first:
            some = order[first:stop]
            records = np.empty(len(some), _record(vectors.shape[1]))
            records["cluster"] = clusters[some]
            records["rank"] = ranks[rows[some]]
            records["vector"] = vectors[rows[some]]
            content = records.view(np.uint8).data
            file.write(content)
            piece = _Piece(part, at, len(some), xxhash.xxh3_64_hexdigest(content))
            pieces.append((number, piece))
            at += len(content)
    return at


def _compare(job: _Job, task: tuple[int, Sequence[_Piece]]) -> Found:
    """Compare the vectors of a shelf, or read what was found on it; return what falls for what.

    Raises:
        ArtifactError: a file in between is not what was written.
    """
    shelf, pieces = task
    path = storage.join(job.folder, f"{shelf:05d}.found.parquet")
    if not _is_done(path, job.stamp):
        columns = dict(zip(("rank", "for", "cosine"), _found_on(job, pieces), strict=True))
        artifacts.write_table(path, pa.table(columns), job.stamp, "")
    ranks, for_ranks, cosines = artifacts.read_table(path).columns
    return ranks.to_numpy(), for_ranks.to_numpy(), cosines.to_numpy()


def _found_on(job: _Job, pieces: Sequence[_Piece]) -> Found:
    """Compare the vectors of a shelf, cluster by cluster; return the ranks of what falls for what.

    Raises:
        ArtifactError: a file in between is not what was written.
    """
    kind = _record(len(job.clusters.axes))
    records = np.empty(sum(piece.num for piece in pieces), kind)
    at = 0
    for piece in pieces:
        path = _path(job, piece.part)
        with storage.open_read(path) as file:
            file.seek(piece.first)
            content = file.read(piece.num * kind.itemsize)
        if xxhash.xxh3_64_hexdigest(content) != piece.xxh3:
            damaged(path, "its checksum differs")
        records[at : at + piece.num] = np.frombuffer(content, kind)
        at += piece.num
    order = np.lexsort((records["rank"], records["cluster"]))
    found: list[Found] = []
    begins = np.flatnonzero(np.diff(records["cluster"][order], prepend=-1)).tolist()
    for first, stop in zip(begins, [*begins[1:], len(records)], strict=True):
        some = order[first:stop]
        ranks = records["rank"][some]
        falls, near = fall_for_earlier(records["vector"][some], job.least, job.clusters.axes)
        fallen = np.flatnonzero(falls >= 0)
        found.append((ranks[fallen], ranks[falls[fallen]], near[fallen]))
    ranks, for_ranks, cosines = (np.concatenate(some) for some in zip(*found, strict=True))
    return ranks, for_ranks, cosines
