"""How far what stands on matches is: downloaded images, vectors, and what was made of vectors.

In: a workspace. Out: of each such folder that is there, its state, and why it is stale.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.listing import file_sizes
from curate.files.own_json import of_ours
from curate.files.remedies import suggest
from curate.pipelines.embedded.plan import WORKING, EmbeddedPlan, Source
from curate.pipelines.matched.drops import is_sample_stale
from curate.pipelines.matched.plan import PLAN as MATCHED_PLAN
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.shards.matched_images import parts_of, pool_of
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.workspace import Workspace, part_name

__all__ = ["derived_stages"]

_OF_VECTORS = {"deduped": "dedup", "scores": "score", "decontaminated": "decontaminate",
               "sampled": "sample", "clusters": "cluster"}  # fmt: skip
_SUMMARY = "summary.json"
_READERS = 16
Stage = dict[str, Any]


def derived_stages(place: Workspace) -> dict[str, Stage]:
    """Return the state of each folder that is there: state, why, done, total, unit."""
    found: dict[str, Stage] = {}
    matched = None
    if storage.exists(storage.join(place.matched, MATCHED_PLAN)):
        matched = _read(lambda: MatchedPlan.read(place.matched))
    looks = {"downloaded": _downloaded, "embeddings": _embeddings}
    for name, look in looks.items():
        folder = place.folder(name)
        if storage.exists(storage.join(folder, PLAN)):
            found[name] = _told(lambda: look(folder, matched))  # noqa: B023  called at once
    vectors = None
    if "embeddings" in found:
        vectors = _read(lambda: EmbeddedPlan.read(place.folder("embeddings")))
    for name in _OF_VECTORS:
        folder = place.folder(name)
        if storage.exists(storage.join(folder, PLAN)):
            found[name] = _told(lambda: _of_vectors(folder, name, vectors, matched))  # noqa: B023
    for path in storage.list_files(place.folder("captions"), ""):
        folder = path.rstrip("/")
        if storage.exists(storage.join(folder, PLAN)):
            stage = _judged([], folder, done=_num(folder, "pairs"), total=None, unit="parts")
            found[f"captions/{folder.rpartition('/')[2]}"] = stage
    return found


def _read(read: Any) -> Any:
    try:
        return read()
    except ArtifactError:
        return None  # whose own stage says so


def _told(look: Any) -> Stage:
    try:
        found: Stage = look()
        return found
    except ArtifactError as error:
        return {"state": "stale", "why": [str(error)]}


def _judged(why: list[str], folder: str, **figures: Any) -> Stage:
    is_whole = storage.exists(storage.join(folder, _SUMMARY))
    state = "stale" if why else "complete" if is_whole else "incomplete"
    return {"state": state, "why": why, **figures}


def _num(folder: str, inner: str, suffix: str = ".parquet") -> int:
    return len(_names(folder, inner, suffix))


def _names(folder: str, inner: str, suffix: str = ".parquet") -> list[str]:
    path = storage.join(folder, inner) if inner else folder
    return [name for name in file_sizes(path) if name.endswith(suffix)]


def _downloaded(folder: str, matched: MatchedPlan | None) -> Stage:
    path = storage.join(folder, PLAN)
    plan = artifacts.read_versioned(path)
    with of_ours(path):
        pool = str(plan["parameters"]["pool"])
        parts = [str(one["part"]) for one in plan["layout"]]
        total = sum(int(one["shards"]) for one in plan["layout"])
    why = []
    if matched is not None:
        again = suggest("download", "--from", "matched")
        now = parts_of(matched)
        if pool != pool_of(matched) or parts != now[: len(parts)]:
            why.append(f"its images are of other matches: run `{again}` with --overwrite")
        elif len(parts) < len(now):
            why.append(f"pairs were added to `matched/` since: run `{again}` as before")
    return _judged(why, folder, done=_num(folder, "", "_stats.json"), total=total, unit="shards")


def _embeddings(folder: str, matched: MatchedPlan | None) -> Stage:
    plan = EmbeddedPlan.read(folder)
    why = []
    if matched is not None and plan.parameters["source"] == "matched":
        changed = len(matched.parts) - len(plan.sources)
        # One read a part, which would be slow from afar.
        if not changed and storage.is_local(matched.folder):
            with ThreadPoolExecutor(_READERS) as pool:
                now = list(pool.map(lambda i: _source(matched, i), range(len(matched.parts))))
            changed = sum(a != b for a, b in zip(now, plan.sources, strict=True))
        if changed:
            why.append(
                "pairs were added to `matched/` or taken out since: run "
                f"`{suggest('embed')}` as before"
            )
    # Parts that borrow images are nearly done before they are published.
    names = {*_names(folder, "pairs"), *_names(folder, f"{WORKING}/owned")}
    return _judged(why, folder, done=len(names), total=len(plan.sources), unit="parts")


def _source(matched: MatchedPlan, index: int) -> Source | None:
    path = matched.pairs_path(index)
    there = storage.exists(path)
    return Source(part_name(index, "parquet"), artifacts.seal_of(path)) if there else None


def _of_vectors(
    folder: str, name: str, vectors: EmbeddedPlan | None, matched: MatchedPlan | None
) -> Stage:
    path = storage.join(folder, PLAN)
    plan = artifacts.read_versioned(path)
    with of_ours(path):
        embedded = str(plan["parameters"]["embedded"])
    why = []
    if vectors is not None and embedded != vectors.digest():
        again = suggest(_OF_VECTORS[name])
        why.append(f"`embeddings/` has changed since: run `{again}` as before, with --overwrite")
    if name == "sampled" and matched is not None and is_sample_stale(matched.folder):
        why.append(
            "other pairs of `matched/` count than those that it was drawn from: run "
            f"`{suggest('sample')}` as before"
        )
    total = None if vectors is None else len(vectors.sources)
    done = _num(folder, "hits" if name == "decontaminated" else "pairs")
    return _judged(why, folder, done=done, total=total, unit="parts")
