"""Bring your own entries: a text file, one entry a line → metadata that `curate match` takes.

    python examples/own_entries.py products.txt --lang en --metadata data/metadata
    curate match 'pairs/*.parquet' --lang en && curate balance --t 20

With --keep they are added to those that `curate build-metadata` has found; without, they are all.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.own_entries import write_own_entries


def main(
    listing: Annotated[Path, typer.Argument(help="UTF-8, an entry a line, most important first.")],
    lang: Annotated[str, typer.Option(help="Language of the texts to match.")] = "en",
    metadata: Annotated[str, typer.Option(help="Metadata folder.")] = "data/metadata",
    keep: Annotated[bool, typer.Option("--keep", help="Add to what the language has.")] = False,
) -> None:
    """Write the metadata."""
    entries = listing.read_text("utf-8").splitlines()
    result = write_own_entries(metadata, lang, entries, keep=keep)
    left_out = ", ".join(f"{reason} {num:,}" for reason, num in result["left_out"].items())
    print(f"{lang}: {result['entries']:,} entries in {metadata}; left out: {left_out or 'none'}")


if __name__ == "__main__":
    typer.run(main)
