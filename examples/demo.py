"""The main job on the toy web, offline: what `make demo` runs.

Every step is a command that you could type; each prints its own summary.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from examples.toyweb.write import ToyWeb, write_toy_web  # noqa: E402

# The toy web is small, so thresholds made for Wikipedia would leave nothing of it.
THRESHOLDS = "--unigram-min-count 5 --unigram-top-share 1 --title-min-views 1"


def commands(folder: Path) -> list[str]:
    """Return the six commands of the main job."""
    here = shlex.quote(str(folder))
    return [
        f"build-metadata --lang all --sources unigram,bigram,title {THRESHOLDS}",
        f"match {here}/web/*.parquet",
        "balance --t 100",
        "train --model toy --steps 200 --batch-size 128 --learning-rate 0.002",
        f"eval {here}/eval/zeroshot.parquet --classes {here}/eval/classes.txt --group-by split",
        f"eval {here}/eval/retrieval.parquet --group-by lang",
    ]


def _make_room(folder: Path) -> None:
    """Remove an earlier demo; refuse to remove anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "web" / "part-00000.parquet").is_file():
            sys.exit(f"{folder} exists and is no earlier demo; name another folder: DEMO=…")
        shutil.rmtree(folder)


def main(folder: Path) -> None:
    """Generate the toy web and run the commands on it."""
    start = time.perf_counter()
    _make_room(folder)
    print(f"Generating a toy web in {folder}/ …", flush=True)
    write_toy_web(folder, ToyWeb(rows=20_000, files=2))
    curate = Path(sys.executable).with_name("curate")
    for command in commands(folder):
        print(f"\n$ curate {command}", flush=True)
        arguments = shlex.split(command)
        subprocess.run([curate, *arguments, "--workspace", folder], check=True)
    result = json.loads((folder / "runs/clip/eval/zeroshot.json").read_text())
    print(
        f"\ndata card:  {folder}/balanced/datacard.html\n"
        f"model:      {folder}/runs/clip/modelcard.md\n"
        f"accuracy:   {result['top1']:.1%} zero-shot on {result['classes']} classes "
        f"(chance {result['chance']:.1%}; head {result['top1_by_group']['head']:.1%}, "
        f"tail {result['top1_by_group']['tail']:.1%})\n"
        f"seconds:    {time.perf_counter() - start:.0f}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
