"""A student with a teacher and the same student without, on the toy web, at equal steps.

    python -m examples.ablation.students OUT

OUT may be that of the ablation, whose web is then used. The teacher is the ablation's model,
trained once on the matched pool; students are half as wide. Stopped and started again, it goes on.
"""

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from examples.ablation.__main__ import MODEL
from examples.ablation.runs import Ablation, measure, prepare, run, write_pool
from examples.ablation.table import gains, table

STUDENT = Path(__file__).with_name("student.json")
POOL = "matched"
WITHOUT, WITH = "student alone", "student with a teacher"


def compare(out: Path, ablation: Ablation, teacher_steps: int) -> dict[str, list[dict[str, float]]]:
    """Train the teacher, and each student with and without it; return accuracies by kind."""
    shards = write_pool(out, prepare(out, ablation), ablation, POOL, 0)
    large = replace(ablation, model=str(MODEL), steps=teacher_steps)
    name = f"teacher-{teacher_steps}"
    run(out, large, name, 1000, shards)
    teacher = out / "runs" / f"{name}-seed1000"
    print(f"teacher: {measure(out, teacher.name)}", flush=True)
    options = {WITHOUT: "", WITH: f"--teacher {teacher} --teacher-scale own"}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in options}
    with ThreadPoolExecutor(ablation.jobs) as executor:
        runs = [
            (kind, executor.submit(
                run, out, ablation, kind.replace(" ", "-"), seed, shards, options[kind]
            ))
            for seed in range(ablation.seeds) for kind in options
        ]  # fmt: skip
        for kind, future in runs:
            found[kind].append(future.result())
            print(f"{kind}: {found[kind][-1]}", flush=True)
    return found


def main(
    out: Annotated[Path | None, typer.Argument(help="Folder for everything.")] = None,
    rows: Annotated[int, typer.Option(help="Pairs of the toy web.")] = 40_000,
    steps: Annotated[int, typer.Option(help="Of every student.")] = 720,
    teacher_steps: Annotated[int, typer.Option(help="Of the teacher.")] = 2880,
    batch_size: Annotated[int, typer.Option(help="Pairs per step.")] = 64,
    seeds: Annotated[int, typer.Option(min=1, help="Students of each kind.")] = 5,
    eval_rows: Annotated[int, typer.Option(help="Held-out images.")] = 1600,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 0.001,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = len(os.sched_getaffinity(0)),
) -> None:
    """Compare a student with a teacher and without."""
    out = out or Path(tempfile.mkdtemp(prefix="curate-students-"))
    ablation = Ablation(
        rows=rows, steps=steps, batch_size=batch_size, seeds=seeds, thresholds=(), online_t=40,
        eval_rows=eval_rows, jobs=jobs, model=str(STUDENT), learning_rate=learning_rate,
    )  # fmt: skip
    found = compare(out, ablation, teacher_steps)
    num = int((out / "pools" / POOL / "pairs.txt").read_text())
    print(f"\n{steps * batch_size:,} pairs seen by every student, {seeds} seeds, zero-shot "
          f"accuracy on {eval_rows:,} images of 80 classes\n")  # fmt: skip
    print(table(found, dict.fromkeys(found, num)))
    print(f"\n{gains(found, [(WITH, WITHOUT)])}")
    (out / "students.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
