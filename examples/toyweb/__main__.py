"""Command line of the toy web: ``python -m examples.toyweb OUT --rows 20000``."""

from pathlib import Path
from typing import Annotated

import typer

from examples.toyweb.write import ToyWeb, write_toy_web


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write web/, sources/ and eval/ to.")],
    rows: Annotated[int, typer.Option(help="Pairs.")] = 20_000,
    files: Annotated[int, typer.Option(help="Parquet files.")] = 2,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    images: Annotated[bool, typer.Option(help="Draw the images.")] = True,
    image_size: Annotated[int, typer.Option(help="Pixels of both sides.")] = 32,
    eval_rows: Annotated[int, typer.Option(help="Held-out images per evaluation set.")] = 800,
) -> None:
    """Generate a toy web: pairs, dumps, page views and held-out sets."""
    toy = ToyWeb(rows=rows, files=files, seed=seed, images=images, image_size=image_size,
                 eval_rows=eval_rows)  # fmt: skip
    write_toy_web(out, toy)


if __name__ == "__main__":
    typer.run(main)
