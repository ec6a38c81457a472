"""The two sides of `curate diff`: what each folder holds, and how to read its pairs and counts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.files.sums import check_shard
from curate.pipelines.inputs.rows import Part, Rows
from curate.pipelines.inputs.tar import read_tar
from curate.pipelines.matched.balanced_set import require_all, require_part
from curate.pipelines.matched.decisions import DECISION_COLUMNS
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MANIFEST
from curate.pipelines.store.workspace import require_codes

__all__ = ["Side", "folder_kind", "open_side", "read_pairs"]

BATCH_ROWS = 1 << 17
_SCHEMA = pa.schema(
    {
        "pair_id": pa.string(),
        "lang": pa.dictionary(pa.int32(), pa.string()),
        "entry_ids": pa.list_(pa.uint32()),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A folder of pairs, whole.

    Attributes:
        folder: local path or URL.
        kind: ``matched`` or ``balanced``.
        parameters: that it was made with.
        files: Parquet files or tars of pairs, in order.
        num_pairs: rows in them.
        drops: those of them that do not count.
        counted: per language, the file with its entries and their counts in `matched/`.
        t_of: per language, where the set was balanced.
    """

    folder: str
    kind: str
    parameters: dict[str, Any]
    files: list[str]
    num_pairs: int
    drops: Drops
    counted: dict[str, str]
    t_of: dict[str, int | None] = field(default_factory=dict)

    def entry_hash(self, lang: str) -> str:
        """Return the hash of a language's entries."""
        with artifacts.open_parquet(self.counted[lang]) as file:
            return str((file.metadata.metadata or {})[b"metadata_hash"].decode())

    def num_entries(self, lang: str) -> int:
        """Return how many entries a language has."""
        return _num_rows(self.counted[lang])

    def entries(self, lang: str) -> pa.Array:
        """Read a language's entries in order."""
        column = artifacts.read_table(self.counted[lang], ["entry"]).column("entry")
        return column.combine_chunks()

    def matched_counts(self, lang: str) -> NDArray[np.int64]:
        """Read the counts of a language's entries among the matched pairs."""
        column = artifacts.read_table(self.counted[lang], ["count"]).column("count")
        return np.asarray(column.to_numpy(), dtype=np.int64)


def folder_kind(folder: str) -> str:
    """Tell whether a folder is ``metadata``, ``matched`` or ``balanced``.

    Raises:
        UsageError: it is none of them.
    """
    if storage.exists(storage.join(folder, MANIFEST)):
        return "metadata"
    path = storage.join(folder, "plan.json")
    plan = artifacts.read_json(path) if storage.exists(path) else {}
    if "parts" in plan:
        return "matched"
    if "t_of_language" in plan.get("parameters", {}):
        return "balanced"
    raise UsageError(
        f"{folder}: expected a folder that build-metadata, match or balance wrote; there is "
        f"neither {MANIFEST} nor plan.json of theirs in it"
    )


def open_side(folder: str) -> Side:
    """Read what a folder of pairs is made of.

    Raises:
        ArtifactError: the command that writes it has not come to its end.
    """
    return _open_matched(folder) if folder_kind(folder) == "matched" else _open_balanced(folder)


def _open_matched(folder: str) -> Side:
    plan = MatchedPlan.read(folder)
    if plan.summary() is None:
        raise _unfinished(folder, "match")
    files = [plan.pairs_path(index) for index in range(len(plan.parts))]
    inputs = {i["path"]: i["sha256"] for i in plan.inputs}
    left_out = {"retracted": plan.retracted, "dropped": plan.dropped}
    parameters = {**plan.parameters, "inputs": inputs, **left_out}
    return Side(
        folder=folder,
        kind="matched",
        parameters=parameters,
        files=files,
        num_pairs=sum(map(_num_rows, files)),
        drops=Drops.read(folder),
        counted={lang: plan.counts_path(lang) for lang in sorted(plan.parameters["metadata"])},
    )


def _open_balanced(folder: str) -> Side:
    if not storage.exists(storage.join(folder, "datacard.json")):
        raise _unfinished(folder, "balance")
    parameters = artifacts.read_json(storage.join(folder, "plan.json"))["parameters"]
    require_codes(parameters["t_of_language"], storage.join(folder, "plan.json"))
    is_parquet = parameters["format"] == "parquet"
    name, suffix = ("pairs", ".parquet") if is_parquet else ("shards", ".tar")
    files = storage.list_files(storage.join(folder, name), suffix)
    digest = artifacts.digest(parameters)
    for index, path in enumerate(files):
        require_part(path, index, digest)
    sizes = [_num_rows(f) if is_parquet else _num_samples(f) for f in files]
    require_all(folder, digest, sum(sizes))
    probabilities = storage.join(folder, "probabilities")
    return Side(
        folder=folder,
        kind="balanced",
        parameters={k: v for k, v in parameters.items() if k != "t_of_language"},
        files=files,
        num_pairs=sum(sizes),
        drops=Drops(),
        counted={
            lang: storage.join(probabilities, f"{lang}.parquet")
            for lang in sorted(parameters["t_of_language"])
        },
        t_of=parameters["t_of_language"],
    )


def _unfinished(folder: str, command: str) -> ArtifactError:
    return ArtifactError(
        f"{folder}: `curate {command}` has not come to its end. Run the same command again; it "
        "goes on where it was."
    )


def _num_rows(path: str) -> int:
    with artifacts.open_parquet(path) as file:
        return int(file.metadata.num_rows)


def _num_samples(path: str) -> int:
    return int(artifacts.read_json(path.removesuffix(".tar") + ".json")["pairs"])


def read_pairs(path: str, drops: Drops) -> Iterator[pa.RecordBatch]:
    """Yield the ids, languages and entries of a file's pairs: Parquet, or a tar of ours."""
    if not path.endswith(".tar"):
        with artifacts.open_parquet(path) as file:
            yield from map(drops.left, file.iter_batches(BATCH_ROWS, columns=DECISION_COLUMNS))
        return
    check_shard(path)
    for rows in read_tar(Part(path=path, sha256="", kind="tar")):
        if not isinstance(rows, Rows):
            raise ArtifactError(f"{path}: {rows.detail}. Run `{suggest('balance')}` again.")
        samples = []
        for uid, raw in zip(
            rows.batch.column("uid").to_pylist(), rows.batch.column("json").to_pylist(), strict=True
        ):
            about = json.loads(raw)
            pair_id = about.get("pair_id", uid)
            samples.append({**{k: about[k] for k in ("lang", "entry_ids")}, "pair_id": pair_id})
        yield pa.RecordBatch.from_pylist(samples, _SCHEMA)
