"""The pairs of clusters in; out what is in each: languages, entries, nearest captions."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.curation.vectors.contrast import over_represented
from curate.files import storage
from curate.pipelines.cluster.part import ClusterJob
from curate.pipelines.clustered.plan import part_path
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.store import artifacts
from curate.pipelines.views.progress import progress

__all__ = ["Content", "cluster_content"]

_CAPTIONS = 8
_ENTRIES = 10
_LANGUAGES = 20
_SURELY = 10.83  # by chance one entry in a thousand has as much
_ROWS = 1 << 16


@dataclass(slots=True)
class Content:
    """What is in clusters; contents of parts add up, in any order.

    Attributes:
        fine: pairs of each fine centre; shape (K,).
        nearest: of each fine centre: distance, part and row of its nearest pair; inf without one;
            shape (K, 3).
        languages: pairs by cluster and language.
        entries: by language: entry ids, ascending, and their pairs by cluster, (N, C).
    """

    fine: NDArray[np.int64]
    nearest: NDArray[np.float64]
    languages: list[Counter[str]]
    entries: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def empty(cls, num_fine: int, num_clusters: int) -> "Content":
        """Return the content of no pairs."""
        nearest = np.full((num_fine, 3), np.inf)
        return cls(np.zeros(num_fine, np.int64), nearest, [Counter() for _ in range(num_clusters)])

    def __iadd__(self, other: "Content") -> "Content":
        self.fine = self.fine + other.fine
        both = np.stack([self.nearest, other.nearest])
        # Of two as near the first one, by part and row.
        order = np.lexsort((both[:, :, 2], both[:, :, 1], both[:, :, 0]), axis=0)
        self.nearest = np.take_along_axis(both, order[:1, :, None], axis=0)[0]
        for mine, theirs in zip(self.languages, other.languages, strict=True):
            mine.update(theirs)
        for lang, (ids, counts) in other.entries.items():
            known = self.entries.get(lang)
            if known is not None:
                ids, counts = _added([known, (ids, counts)])
            self.entries[lang] = ids, counts
        return self


def cluster_content(job: ClusterJob, names: str | None, *, workers: int, quiet: bool) -> list[Any]:
    """Return what is in each cluster, as JSON-able values.

    Args:
        job: whose parts are all there.
        names: folder of tables of entries by language; None: entries stay numbers.
        workers: threads or jobs.
        quiet: no progress.

    Returns:
        Per cluster: cluster, pairs, share, fine (its centres), empty_fine (those without a pair),
        languages, captions (the pairs nearest to its largest centres), entries (those that it has
        most surely more of than its share).
    """
    tasks = list(range(len(job.plan.sources)))
    found = run_parts(
        _content, tasks, workers=workers, setup=_same, arguments=(job,), threads=True,
        anywhere=True,
    )  # fmt: skip
    total = Content.empty(len(job.centres.cluster), job.centres.num_clusters)
    for of_part in progress(found, total=len(tasks), label="contents", unit="part", quiet=quiet):
        total += of_part
    sizes = np.array([languages.total() for languages in total.languages], np.int64)
    entries = _entries(total, sizes, names)
    captions = _captions(job, total)
    return [
        {
            "cluster": cluster,
            "pairs": int(sizes[cluster]),
            "share": round(int(sizes[cluster]) / max(1, int(sizes.sum())), 6),
            "fine": int((job.centres.cluster == cluster).sum()),
            "empty_fine": int((total.fine[job.centres.cluster == cluster] == 0).sum()),
            "languages": dict(_largest(total.languages[cluster])),
            "captions": captions[cluster],
            "entries": entries[cluster],
        }
        for cluster in range(job.centres.num_clusters)
    ]


def _same(job: ClusterJob) -> ClusterJob:
    return job


def _largest(languages: Counter[str]) -> list[tuple[str, int]]:
    return sorted(languages.items(), key=lambda item: (-item[1], item[0]))[:_LANGUAGES]


def _content(job: ClusterJob, index: int) -> Content:
    """Return what is in the clusters of a part."""
    num_fine, num = len(job.centres.cluster), job.centres.num_clusters
    total, first = Content.empty(num_fine, num), 0
    path = part_path(job.output, index)
    with artifacts.open_parquet(path) as file:
        there = file.schema_arrow.names
        names = [n for n in ("lang", "entry_ids", "cluster", "fine", "distance") if n in there]
        for batch in file.iter_batches(_ROWS, columns=names):
            is_in = batch.column("cluster").is_valid().to_numpy(zero_copy_only=False)
            rows = np.flatnonzero(is_in)
            some = batch.take(pa.array(rows))
            total += _of_rows(some, Content.empty(num_fine, num), index, first + rows)
            first += batch.num_rows
    return total


def _of_rows(
    batch: pa.RecordBatch, content: Content, index: int, rows: NDArray[np.int64]
) -> Content:
    """Fill in the content of rows that are all in a cluster."""
    cluster, fine = (batch.column(n).to_numpy().astype(np.int64) for n in ("cluster", "fine"))
    distance, num = batch.column("distance").to_numpy().astype(np.float64), len(content.languages)
    content.fine = np.bincount(fine, minlength=len(content.fine))
    order = np.lexsort((rows, distance, fine))
    found, at = np.unique(fine[order], return_index=True)
    best = order[at]
    content.nearest[found] = np.stack(
        [distance[best], np.full(len(best), float(index)), rows[best].astype(np.float64)], axis=1
    )
    langs = batch.column("lang").cast(pa.string()).fill_null("unknown").dictionary_encode()
    lang = langs.indices.to_numpy().astype(np.int64)
    by_lang = np.bincount(lang * num + cluster, minlength=len(langs.dictionary) * num)
    for code, name in enumerate(langs.dictionary.to_pylist()):
        for number, pairs in enumerate(by_lang[code * num : (code + 1) * num].tolist()):
            if pairs:
                content.languages[number][name] += pairs
    if "entry_ids" in batch.schema.names:
        content.entries = _entries_of(batch.column("entry_ids"), lang, langs, cluster, num)
    return content


def _entries_of(
    lists: pa.ListArray, lang: NDArray[np.int64], langs: pa.DictionaryArray,
    cluster: NDArray[np.int64], num: int,
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:  # fmt: skip
    """Return by language the entries of some pairs, and their pairs by cluster."""
    pair = pa.compute.list_parent_indices(lists).to_numpy()
    entry = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    found = {}
    for code, name in enumerate(langs.dictionary.to_pylist()):
        is_of = lang[pair] == code
        if not is_of.any():
            continue
        ids, place = np.unique(entry[is_of], return_inverse=True)
        keys = place.reshape(-1) * num + cluster[pair[is_of]]
        found[name] = ids, np.bincount(keys, minlength=len(ids) * num).reshape(-1, num)
    return found


def _added(
    tables: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids, place = np.unique(np.concatenate([i for i, _ in tables]), return_inverse=True)
    counts = np.zeros((len(ids), tables[0][1].shape[1]), np.int64)
    np.add.at(counts, place.reshape(-1), np.concatenate([c for _, c in tables]))
    return ids, counts


def _entries(
    content: Content, sizes: NDArray[np.int64], names: str | None
) -> list[list[dict[str, Any]]]:
    """Return the entries that each cluster has most surely more of than its share."""
    best: list[list[tuple[float, str, int, int, float]]] = [[] for _ in sizes]
    share = sizes / max(1, int(sizes.sum()))
    for lang, (ids, counts) in sorted(content.entries.items()):
        surely = over_represented(counts, sizes)
        for cluster in range(len(sizes)):
            for at in np.lexsort((ids, -surely[:, cluster]))[:_ENTRIES].tolist():
                if surely[at, cluster] >= _SURELY:
                    pairs = int(counts[at, cluster])
                    lift = pairs / (int(counts[at].sum()) * share[cluster])
                    best[cluster].append((surely[at, cluster], lang, int(ids[at]), pairs, lift))
    chosen = [sorted(some, key=lambda one: (-one[0], one[1], one[2]))[:_ENTRIES] for some in best]
    shown = _names(chosen, names)
    return [
        [{"lang": lang, "entry_id": entry, **shown.get((lang, entry), {}), "pairs": pairs,
          "times": round(lift, 3)} for _, lang, entry, pairs, lift in some]
        for some in chosen
    ]  # fmt: skip


def _names(chosen: list[list[Any]], folder: str | None) -> dict[tuple[str, int], dict[str, str]]:
    """Return the entries themselves, as far as they are known."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    wanted = sorted({(lang, entry) for some in chosen for _, lang, entry, _, _ in some})
    for lang in sorted({lang for lang, _ in wanted}):
        path = "" if folder is None else storage.join(folder, f"{lang}.parquet")
        if not path or "/" in lang or not storage.exists(path):
            continue
        entries = artifacts.read_table(path, ["entry"]).column("entry")
        for _, entry in (one for one in wanted if one[0] == lang):
            if entry < len(entries):
                found[lang, entry] = {"entry": entries[entry].as_py()}
    return found


def _captions(job: ClusterJob, content: Content) -> list[list[dict[str, Any]]]:
    """Return of each cluster the pairs nearest to its largest fine centres."""
    chosen: dict[tuple[int, int], tuple[int, float]] = {}
    for cluster in range(job.centres.num_clusters):
        of_it = np.flatnonzero((job.centres.cluster == cluster) & (content.fine > 0))
        for fine in of_it[np.lexsort((of_it, -content.fine[of_it]))][:_CAPTIONS].tolist():
            distance, part, row = content.nearest[fine].tolist()
            chosen[int(part), int(row)] = cluster, distance
    found: list[list[dict[str, Any]]] = [[] for _ in range(job.centres.num_clusters)]
    if job.rows is None:
        return found
    rows = {place: one for part in sorted({p for p, _ in chosen})
            for place, one in _texts(job, part, {r for p, r in chosen if p == part})}  # fmt: skip
    for place, (cluster, distance) in chosen.items():  # the largest centres first
        found[cluster].append({**rows[place], "distance": round(distance, 4)})
    return found


def _texts(
    job: ClusterJob, part: int, wanted: set[int]
) -> list[tuple[tuple[int, int], dict[str, Any]]]:
    """Return ids, languages and captions of some rows of a part."""
    assert job.rows is not None
    found, first = [], 0
    for chunk in job.rows.chunks(part, with_texts=True):
        for row in sorted(r for r in wanted if first <= r < first + len(chunk.pair_ids)):
            at = row - first
            about = {"pair_id": chunk.pair_ids[at].as_py(), "lang": chunk.langs[at].as_py(),
                     "text": chunk.texts[at]}  # fmt: skip
            found.append(((part, row), about))
        first += len(chunk.pair_ids)
        if first > max(wanted):
            break
    return found
