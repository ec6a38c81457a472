"""Single-bit flips of every kind of artifact: `python -m tests.fuzz.flips --bits 300`.

Prints a row for each: how many flips its readers noticed, how many changed nothing that they get,
and how many they took for what was written, which has to be none. The first and the last 16 bits
of a file are always among the flips, besides those that are drawn.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.pipelines.store.test_flipped_bits import ARTIFACTS, flip_bits, write_workspace


def main() -> None:
    """Flip bits of every artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, default=300, help="of each artifact, drawn")
    options = parser.parse_args()
    say = sys.stdout.write
    names = ("artifact", "bytes", "flips", "noticed", "without effect", "used")
    with tempfile.TemporaryDirectory() as folder:
        write_workspace(Path(folder))
        say(f"| {' | '.join(names)} |\n{'|---' * len(names)}|\n")
        for name, place in ARTIFACTS.items():
            path = Path(folder, place)
            found = flip_bits(path, options.bits)
            counts = [len(bits) for bits in found.values()]
            numbers = [path.stat().st_size, sum(counts), *counts]
            say(f"| {name} | {' | '.join(f'{n:,}' for n in numbers)} |\n")


if __name__ == "__main__":
    main()
