"""What 100,000 tiny parts cost the driver: planned, matched in name only, killed, gone on with.

    python -m examples.bench.scale.bookkeeping [NUM_PARTS]

A part's work is nothing here: its file is a copy of one small file. So what is measured, in
seconds of the processor and in memory, is what the driver itself does for a part. Counting is left
out, since workers do it.
"""

import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from curate.pipelines.executor.journal import Journal
from curate.pipelines.executor.lease import driving
from curate.pipelines.executor.parts import run_parts
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.inputs.rows import Part
from curate.pipelines.match.summary import PartSummary
from curate.pipelines.match.totals import MatchTotals
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.status.log import LogReader
from curate.pipelines.store import artifacts
from examples.bench.common.measure import peak_bytes

LANGUAGES = ("de", "en", "es", "fr", "ja", "ru", "zh", "")


def _summary() -> PartSummary:
    reasons = Counter({"read": 1000, "matched": 700, "no_match": 300})
    return PartSummary({lang: Counter(reasons) for lang in LANGUAGES})


def _match(template: bytes, task: tuple[int, str]) -> tuple[int, int, PartSummary]:
    index, path = task
    Path(path).write_bytes(template)
    return index, len(template), _summary()


def _plan(folder: str, num_parts: int) -> MatchedPlan:
    parts = [
        Part(path=f"in/{i // 8:05d}.parquet", sha256=f"{i // 8:064x}", kind="parquet",
             row_groups=(i % 8, i % 8 + 1), first_row=1000 * (i % 8), num_rows=1000)
        for i in range(num_parts)
    ]  # fmt: skip
    metadata = {lang: "0" * 64 for lang in LANGUAGES if lang}
    parameters = {"metadata": metadata, "columns": asdict(ColumnNames())}
    plan = MatchedPlan(folder, parameters, [], parts)
    plan.write()
    return plan


class _Clock:
    """Seconds of this process's processor, and the most memory it has had."""

    def __init__(self) -> None:
        self._last = time.process_time()
        self.steps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.steps[name] = round(now - self._last, 2)
        self._last = time.process_time()


def measure(num_parts: int, folder: str) -> dict[str, object]:
    """Return seconds of the processor by step, and the peak of memory in MB."""
    clock = _Clock()
    _plan(folder, num_parts)
    clock.lap("write plan")
    plan = MatchedPlan.read(folder)
    plan.digest()
    made_from = {"parameters": artifacts.digest(plan.parameters)}
    template = str(Path(folder) / "template.parquet")
    artifacts.write_table(template, pa.table({"a": [1]}), {}, "")
    content = Path(template).read_bytes()
    (Path(folder) / "pairs").mkdir()
    with driving(folder, "bench"):
        for name, stop in (("first half", num_parts // 2), ("second half", num_parts)):
            journal = Journal(folder, num_parts, made_from)
            totals = MatchTotals(plan, 0.01)
            for index, summary in journal.summaries():
                totals.add(index, PartSummary.from_dict(summary))
            todo = [(i, plan.pairs_path(i)) for i in journal.missing() if i < stop]
            clock.lap(f"start of the {name}")
            results = run_parts(_match, todo, workers=2, setup=bytes, arguments=(content,))
            for index, size_bytes, found in results:
                journal.note(index, size_bytes, found.as_dict())
                totals.add(index, found)
                totals.check_bad_share(10**12)
            journal.flush()
            clock.lap(name)
    journal.close()
    clock.lap("close")
    peak = peak_bytes() / 1e6
    assert totals.check_sums()["read"] == num_parts * 1000 * len(LANGUAGES)
    figures = LogReader(folder).figures()
    assert figures is not None and figures["done"] == num_parts - num_parts // 2
    clock.lap("status")
    return {"parts": num_parts, "seconds": clock.steps, "sum": round(sum(clock.steps.values()), 1),
            "peak_mb": round(peak)}  # fmt: skip


def main() -> None:
    """Print the figures as JSON."""
    num_parts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    folder = tempfile.mkdtemp()
    try:
        print(json.dumps(measure(num_parts, f"{folder}/matched"), indent=1))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    from examples.bench.scale import bookkeeping  # workers find what they call by its module

    bookkeeping.main()
