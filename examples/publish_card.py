"""Publish a balanced set's card: a folder as a Hugging Face dataset repository wants it.

    python examples/publish_card.py data/balanced -o hub [--repo you/your-set]

It holds the card as README.md, the card's page and figures, and the kept pairs as URLs and texts,
without images. Only with --repo and a token (HF_TOKEN, or `hf auth login`) is it uploaded.
"""

import shutil
from pathlib import Path
from typing import Annotated

import huggingface_hub
import pyarrow.parquet as pq
import typer

# Images, and where they lay on your disk, stay at home.
PRIVATE = ("image", "image_file", "image_offset", "image_size", "image_ext", "json")


def write_folder(balanced: Path, output: Path) -> None:
    """Write the repository's files."""
    (output / "pairs").mkdir(parents=True)
    shutil.copy(balanced / "datacard.md", output / "README.md")
    for extra in ("datacard.json", "datacard.html"):
        if (balanced / extra).exists():
            shutil.copy(balanced / extra, output)
    parts = sorted((balanced / "pairs").glob("*.parquet"))
    for number, part in enumerate(parts):
        with pq.ParquetFile(part) as file:
            columns = [name for name in file.schema_arrow.names if name not in PRIVATE]
            name = f"train-{number:05d}-of-{len(parts):05d}.parquet"
            schema = file.schema_arrow.empty_table().select(columns).schema
            with pq.ParquetWriter(output / "pairs" / name, schema, compression="zstd") as writer:
                for batch in file.iter_batches(columns=columns):
                    writer.write_batch(batch)


def main(
    balanced: Annotated[Path, typer.Argument(help="Folder that `curate balance` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")] = Path("hub"),
    repo: Annotated[str | None, typer.Option(help="Dataset repository to upload to.")] = None,
) -> None:
    """Write the folder, and upload it if a repository is named."""
    if not (balanced / "pairs").is_dir():
        raise SystemExit(
            f"{balanced} has no pairs/ to publish: `curate balance --format parquet -o FOLDER` "
            "writes them, without images"
        )
    if output.exists():
        raise SystemExit(f"{output} is there already; name a new folder with -o")
    write_folder(balanced, output)
    print(f"→ {output}: " + ", ".join(sorted(p.name for p in output.rglob("*") if p.is_file())))
    if repo is None:
        print("Look at README.md, then upload: add --repo you/your-set")
    elif huggingface_hub.get_token() is None:
        raise SystemExit("there is no token: set HF_TOKEN or run `hf auth login`")
    else:
        huggingface_hub.HfApi().create_repo(repo, repo_type="dataset", exist_ok=True)
        huggingface_hub.upload_folder(repo_id=repo, folder_path=output, repo_type="dataset")


if __name__ == "__main__":
    typer.run(main)
