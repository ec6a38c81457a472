"""Stages on disks that fill up: `python -m tests.fuzz.full_disks`, as root, who may mount one.

Each stage runs on a disk in memory with room for so many pages beyond what is there. It has to end
well or with one sentence of ours; with room, the same command gives the bytes of a run that never
met a full disk, and no file more.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from curate.errors import CurateError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.retract.stage import retract_pairs
from tests.pipelines.helpers import (
    WORDS,
    contents,
    match,
    png,
    read_pairs,
    texts,
    write_metadata,
    write_pairs,
)

Stage = Callable[[Path], object]
PAGES = (0, 1, 2, 4, 7, 12, 20, 33, 55, 90)
_ROOM = "64m"


def balance(folder: Path, kind: str, t: int, *, overwrite: bool = False) -> object:
    """Balance what is matched."""
    return balance_pairs(
        matched=str(folder / "matched"), output=str(folder / "balanced"), overwrite=overwrite,
        options=BalanceOptions(t=t, pairs_per_shard=40, output_format=kind), quiet=True,
    )  # fmt: skip


def retract(folder: Path) -> object:
    """Take some pairs out."""
    listing = folder.parents[1] / "list.txt"
    return retract_pairs(
        str(listing), matched=str(folder / "matched"), metadata=str(folder / "metadata"),
        balanced=[str(folder / "balanced")], workspace=str(folder), quiet=True,
        ignore_missing=True,
    )  # fmt: skip


STAGES: dict[str, Stage] = {
    "match": lambda w: match([w.parents[1] / "a.parquet"], w / "metadata", w / "matched"),
    "balance": lambda w: balance(w, "parquet", 10),
    "balance --overwrite": lambda w: balance(w, "shards", 20, overwrite=True),
    "card": lambda w: make_card(
        matched=str(w / "matched"), balanced=str(w / "balanced"), quiet=True),
    "retract": retract,
}  # fmt: skip


class Disk:
    """A disk in memory, as large as it is told to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "curate-test", str(folder))

    def resize(self, size: str) -> None:
        """Give it another size."""
        self._mount("mount", "-o", f"remount,size={size}", str(self.folder))

    def leave(self, pages: int) -> None:
        """Leave room for so many pages beyond what is there."""
        used = shutil.disk_usage(self.folder).used
        self.resize(str(used + 4096 * pages))

    def remove(self) -> None:
        """Unmount it."""
        self._mount("umount", "-l", str(self.folder))  # an error holds a file open still

    def _mount(self, *words: str) -> None:
        subprocess.run(words, check=True)


def fill(stage: Stage, base: Path, disk: Disk, pages: int, expected: dict[str, str]) -> bool:
    """Run a stage where it may not have room, and again with room; tell whether it was full."""
    place = disk.folder / "w"
    shutil.copytree(base, place)
    disk.leave(pages)
    was_full = False
    try:
        stage(place)
    except CurateError as error:
        was_full = True
        assert "\n" not in str(error) and str(disk.folder) in str(error), error
    disk.resize(_ROOM)
    stage(place)
    found = contents(place)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    assert found == expected
    shutil.rmtree(place)
    return was_full


def undisturbed(stage: Stage, base: Path, disk: Disk) -> dict[str, str]:
    """Return what a stage leaves where there is room."""
    shutil.copytree(base, disk.folder / "w")
    stage(disk.folder / "w")
    expected = contents(disk.folder / "w")
    shutil.rmtree(disk.folder / "w")
    return expected


def main() -> None:
    """Fill the disk under every stage."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "base/w")
        write_metadata(base / "metadata", {"en": WORDS})
        images = [png((i, 90, 20)) for i in range(120)]
        write_pairs(Path(folder, "a.parquet"), texts(120), image=images)
        disk = Disk(Path(folder, "disk"))
        try:
            for name, stage in STAGES.items():
                if name == "retract":
                    ids = read_pairs(base / "matched").column("pair_id").to_pylist()[::9]
                    Path(folder, "list.txt").write_text("\n".join(ids))
                expected = undisturbed(stage, base, disk)
                full = [fill(stage, base, disk, pages, expected) for pages in PAGES]
                sys.stdout.write(f"{name:20} full on {sum(full)} of {len(full)} disks, all right\n")
                stage(base)
        finally:
            disk.remove()


if __name__ == "__main__":
    main()
