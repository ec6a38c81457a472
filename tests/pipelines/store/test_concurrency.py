"""Two commands on one workspace at once: each ends right, or is refused with a sentence.

`python -m tests.pipelines.store.test_concurrency` prints the table of what became of each pair.
"""

import itertools
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ArtifactError, CurateError
from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
from curate.pipelines.card.stage import make_card
from curate.pipelines.download.options import FetchOptions
from curate.pipelines.download.stage import download_images
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.retract.check import Wanted, find_held
from curate.pipelines.retract.stage import retract_pairs
from curate.pipelines.shards.options import ShardOptions
from curate.pipelines.status.verify import verify_workspace
from tests.pipelines.helpers import match, read_pairs, write_metadata
from tests.pipelines.image_server import ImageServer
from tests.pipelines.train_helpers import train, write_train_workspace

torch = pytest.importorskip("torch")

COMMANDS = ("retract", "balance", "train", "download", "card")


@pytest.fixture(scope="module")
def server():
    with ImageServer() as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory, server):
    return make_world(tmp_path_factory.mktemp("world"), server)


def make_world(folder, server):
    """A workspace with images, of which two sets are balanced: shards, and pairs with URLs."""
    write_train_workspace(folder)
    table = pq.read_table(folder / "a.parquet")
    urls = pa.array([server.url(f"/photo/{i}") for i in range(table.num_rows)])
    pq.write_table(table.set_column(0, "url", urls), folder / "b.parquet")
    for name in ("matched", "balanced", "few"):
        shutil.rmtree(folder / name)
    match([folder / "b.parquet"], write_metadata(folder / "metadata", {"en": [
        "red", "green", "blue", "white"]}), folder / "matched")  # fmt: skip
    balance(folder)
    return folder


def balance(folder, t=1000, overwrite=False):
    for name, kind in (("balanced", "auto"), ("urls", "parquet")):
        balance_pairs(
            matched=str(folder / "matched"), output=str(folder / name), overwrite=overwrite,
            options=BalanceOptions(t=t, pairs_per_shard=25, output_format=kind), quiet=True,
        )  # fmt: skip


def retract(folder):
    names = read_pairs(folder / "matched").column("pair_id").to_pylist()[:60:7]
    listing = folder / "list.txt"
    if not listing.exists():
        listing.write_text("\n".join(names))
    return retract_pairs(
        str(listing), matched=str(folder / "matched"), metadata=str(folder / "metadata"),
        balanced=[str(folder / "balanced"), str(folder / "urls")], quiet=True, ignore_missing=True,
    )  # fmt: skip


def download(folder):
    return download_images(
        balanced=str(folder / "urls"), output=str(folder / "downloaded"), columns=ColumnNames(),
        fetch=FetchOptions(allow_private=True, retries=0, backoff_s=0.0), shards=ShardOptions(),
        per_shard=30, workers=1, quiet=True,
    )  # fmt: skip


RUN = {
    "retract": retract,
    "balance": lambda folder: balance(folder, t=20, overwrite=True),
    "train": lambda folder: train(folder, "runs/a", steps=6, checkpoint_every=3),
    "download": download,
    "card": lambda folder: make_card(
        matched=str(folder / "matched"), balanced=str(folder / "balanced"), quiet=True),
}  # fmt: skip


def train_again(folder):
    """Go on with the run; if its set is another one now, that is refused, and begun anew."""
    try:
        RUN["train"](folder)
    except ArtifactError as error:
        told = ("was made with something else:\n  balanced:", "was begun with other shards:\n")
        assert any(words in str(error) for words in told)
        assert "replace it with --overwrite" in str(error)
        train(folder, "runs/a", steps=6, checkpoint_every=3, overwrite=True)


def at_once(folder, commands, delay):
    """Run commands in threads; return what each raised, None for those that ended well."""
    ended = {}

    def run(place, name):
        threading.Event().wait(delay * place)
        try:
            RUN[name](folder)
            ended[place] = None
        except BaseException as error:  # judged by the test, which no thread can fail
            ended[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return [ended[place] for place in range(len(commands))]


# Two runs of one name are one person's.
PAIRS = [
    pair for pair in itertools.combinations_with_replacement(COMMANDS, 2)
    if pair != ("train", "train")
]  # fmt: skip
DELAYS = (0.0, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_cell_ends_right_or_is_refused(world, tmp_path, pair, delay):
    judge(world, tmp_path / "w", pair, delay)


def judge(world, folder, pair, delay):
    """Run two commands at once; return what each raised, once all has been found right."""
    shutil.copytree(world, folder)
    ended = at_once(folder, pair, delay)
    for error in ended:
        assert error is None or isinstance(error, CurateError), repr(error)
        assert error is None or str(error).strip()
    for name, error in zip(pair, ended, strict=True):  # who was refused comes to his end alone
        if error is not None and name == "train":
            train_again(folder)
        elif error is not None and name != "download":  # whose set may be another one now
            RUN[name](folder)
    assert verify_workspace(str(folder))["files"]
    if "retract" in pair:
        RUN["balance"](folder)
        names = (folder / "list.txt").read_text().split()
        for place in ("matched", "balanced", "urls"):
            assert find_held(str(folder / place), Wanted(names)) == {}
    return ended


def main():
    """Print what became of each pair: both right, or who was refused."""
    cells = {}
    with ImageServer() as server, tempfile.TemporaryDirectory() as place:
        world = make_world(Path(place, "world"), server)
        for pair, delay in itertools.product(PAIRS, DELAYS):
            ended = judge(world, Path(place, f"{len(cells)}-{delay}"), pair, delay)
            refused = [name for name, error in zip(pair, ended, strict=True) if error is not None]
            cells.setdefault(pair, []).append(" and ".join(refused))
    say = sys.stdout.write
    say(f"| at once | {' | '.join(COMMANDS)} |\n{'|---' * (len(COMMANDS) + 1)}|\n")
    for row in COMMANDS:
        shown = [_cell(cells.get((row, column), [])) for column in COMMANDS]
        say(f"| {row} | {' | '.join(shown)} |\n")


def _cell(refused):
    if not refused:
        return ""
    told = sorted({name for name in refused if name})
    right = ["both right"] if "" in refused else []
    return "; ".join([*right, *(f"{name} refused" for name in told)])


if __name__ == "__main__":
    main()
