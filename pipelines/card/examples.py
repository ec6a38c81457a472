"""Texts that a data card shows: kept, not sampled, and dropped ones, each with the reason."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.files import storage
from curate.pipelines.card.tally import Chosen, Tally
from curate.pipelines.inputs.records import ColumnNames, text_column
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.tombstones import RETRACTED
from curate.pipelines.store import artifacts
from curate.pipelines.store.workspace import part_name

__all__ = ["dropped_examples", "examples_per_language", "pair_examples"]

NUM_SHOWN = 240  # characters of a text
NUM_ENTRIES = 6  # entries of a pair
NUM_DROPPED = 4  # texts of a reason
_MOST_EXAMPLES = 500


def examples_per_language(num_languages: int) -> int:
    """Return how many texts of a language to show by default, so that a card stays small.

    >>> [examples_per_language(n) for n in (1, 60, 330)]
    [8, 8, 2]
    """
    return int(np.clip(_MOST_EXAMPLES // max(1, num_languages), 2, 8))


def pair_examples(
    plan: MatchedPlan,
    tally: Tally,
    counts: Mapping[str, NDArray[np.int64]],
    entry_of: Mapping[tuple[str, int], str],
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return texts of pairs per language and decision, with what decided over them.

    Args:
        plan: of `matched/`.
        tally: with the chosen pairs.
        counts: entry counts per language.
        entry_of: the entries that `rarest` names, by language and id.

    Returns:
        Per language, and ``kept``, ``not_sampled`` or ``filtered``: text, probability, draw,
        number of entries, and the rarest of them with their counts.
    """
    texts = _read_texts(plan, [c for chosen in tally.chosen.values() for c in chosen])
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for (lang, decision), chosen in sorted(tally.chosen.items()):
        found.setdefault(lang, {})[decision] = [
            {
                "text": texts[c.part, c.row],
                "probability": float(f"{c.probability:.6g}"),
                "draw": float(f"{c.draw:.6g}"),
                "num_entries": len(c.entry_ids),
                "entries": [
                    {"entry": entry_of[lang, i], "count": int(counts[lang][i])}
                    for i in rarest(c, counts[lang])
                ],
            }
            for c in chosen
        ]
    return found


def rarest(chosen: Chosen, count: NDArray[np.int64]) -> list[int]:
    """Return the ids of the rarest entries of a pair, the rarest first."""
    return sorted(chosen.entry_ids, key=lambda i: (int(count[i]), i))[:NUM_ENTRIES]


def shorten(text: str) -> str:
    """Return a text as it is shown.

    >>> len(shorten("x" * 1000))
    241
    """
    return text if len(text) <= NUM_SHOWN else f"{text[:NUM_SHOWN]}…"


def _read_texts(plan: MatchedPlan, chosen: Iterable[Chosen]) -> dict[tuple[int, int], str]:
    """Read the texts of some pairs: of each part no more than the row groups they are in."""
    rows_of: dict[int, list[int]] = {}
    for pair in chosen:
        rows_of.setdefault(pair.part, []).append(pair.row)
    texts = {}
    for part, rows in sorted(rows_of.items()):
        path = plan.pairs_path(part)
        with artifacts.open_parquet(path) as file:
            columns = ColumnNames(**plan.parameters["columns"])
            name = text_column(file.schema_arrow, columns, path)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            starts = np.concatenate([[0], np.cumsum(sizes)])
            groups = np.searchsorted(starts, rows, side="right") - 1
            for group in np.unique(groups).tolist():
                column = file.read_row_group(group, columns=[name]).column(0)
                for row in (r for r, g in zip(rows, groups, strict=True) if g == group):
                    value = column[row - int(starts[group])].as_py()
                    text = value.decode() if isinstance(value, bytes) else value
                    texts[part, row] = shorten(text)
    return texts


def dropped_examples(plan: MatchedPlan, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return texts that were dropped when they were matched, with the reason.

    Those that matched nothing stand in the summary, those that could not be used in `rejected/`.
    """
    found = [
        {"reason": reason, "lang": example["lang"], "text": shorten(example["text"])}
        for reason, examples in summary.get("examples", {}).items()
        for example in examples
    ]
    wanted = {r for r in summary["dropped"] if all(f["reason"] != r for f in found)} - {RETRACTED}
    there = set(storage.list_files(storage.join(plan.folder, "rejected"), ".parquet"))
    for index in range(len(plan.parts)):
        path = storage.join(plan.folder, "rejected", part_name(index, "parquet"))
        if not wanted or path not in there:
            continue
        table = artifacts.read_table(path, ["reason", "text", "detail"])
        for row in table.slice(0, 10_000).to_pylist():
            same = sum(f["reason"] == row["reason"] for f in found)
            if row["reason"] in wanted and same < NUM_DROPPED:
                shown = row["text"] if row["text"] else f"({row['detail']})"
                found.append({"reason": row["reason"], "lang": "", "text": shorten(shown)})
        wanted -= {f["reason"] for f in found}
    return found
