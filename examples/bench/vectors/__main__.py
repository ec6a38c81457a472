"""How fast images are hashed and embedded, and vectors put into clusters.

    python -m examples.bench.vectors hashes|embed|cluster [--images N] [--vectors N]

Times are processor time of this process and its children, so that other work on the machine does
not count. Images are generated and encoded as JPEG. Near-duplicates: `near_duplicates.py`.
"""

import io
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
import webdataset
from numpy.typing import NDArray
from PIL import Image

from examples.bench.common.measure import timed

app = typer.Typer()


def pictures(num: int, side: int) -> list[bytes]:
    """Return JPEGs of about as much detail as photos have."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(num):
        pixels = np.zeros((side, side * 4 // 3, 3))
        for cells, weight in ((6, 1.0), (24, 0.5), (96, 0.25)):
            small = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), np.uint8))
            pixels += weight * np.asarray(small.resize((side * 4 // 3, side)), float)
        buffer = io.BytesIO()
        Image.fromarray((pixels / 1.75).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


@app.command()
def hashes(images: Annotated[int, typer.Option(help="to hash")] = 2000) -> None:
    """Time checksum, scaled decoding and perceptual hash of images, on one core."""
    from curate.training.embedding.images import see_image

    for side in (256, 512, 1024):
        encoded = pictures(50, side)
        see_image(encoded[0], "simplejpeg", None)
        num = images * 256 // side
        cpu, *_ = timed(
            lambda encoded=encoded, num=num: [see_image(encoded[i % 50], "simplejpeg", None)
                                              for i in range(num)]
        )  # fmt: skip
        print(f"{side} pixels: {num / cpu:,.0f} images/s per core", flush=True)


def spots(num: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return unit vectors around 2,000 directions, some of which have far more than others."""
    rng, base = np.random.default_rng(seed), np.random.default_rng(0)
    directions = base.standard_normal((2000, width), np.float32)
    shares = 1.0 / (1.0 + base.permutation(2000))
    found = directions[rng.choice(2000, num, p=shares / shares.sum())]
    found += 1.5 * rng.standard_normal((num, width), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write_texts(folder: Path, vectors: NDArray[np.float32]) -> None:
    """Write vectors as `embed --kinds text` does, in one part."""
    from curate.pipelines.embedded.plan import EmbeddedPlan, Source, embedding_schema
    from curate.pipelines.store import artifacts

    num, width = vectors.shape
    about = {"text": {"width": width, "sha256": "random"}}
    parameters = {"source": "shards", "columns": about, "fingerprints": False}
    plan = EmbeddedPlan(str(folder), parameters, [Source("0", "")])
    plan.write()
    schema = embedding_schema({"text": width}, with_images=False)
    stamp = {"parameters": artifacts.digest(parameters), "source": plan.sources[0].as_dict()}
    with artifacts.parquet_writer(plan.path(0), schema) as writer:
        columns = {f.name: pa.nulls(num, f.type) for f in schema}
        columns["pair_id"] = pa.array([str(row) for row in range(num)])
        values = pa.array(vectors.astype(np.float16).reshape(-1))
        columns["text"] = pa.FixedSizeListArray.from_arrays(values, width)
        writer.write(pa.record_batch(list(columns.values()), schema=schema))
        writer.close(stamp, "")
    summary = {"plan": plan.digest(), "text_vectors": num}
    artifacts.write_json(f"{folder}/summary.json", summary)


@app.command()
def cluster(
    vectors: Annotated[int, typer.Option(help="to put into clusters")] = 200_000,
    width: Annotated[int, typer.Option(help="of each")] = 512,
    fine: Annotated[int, typer.Option(help="centres")] = 1024,
    sample: Annotated[int, typer.Option(help="that they are fitted on")] = 16_384,
) -> None:
    """Time `curate cluster` on one core: the fit, and by itself the way of every pair."""
    from curate.curation.vectors.balanced import nearest_centre
    from curate.curation.vectors.nearest import fit_centres
    from curate.pipelines.cluster import ClusterPairsOptions, cluster_pairs
    from curate.pipelines.clustered.plan import Centres

    folder = Path(tempfile.mkdtemp(prefix="curate-clusters-"))
    options = ClusterPairsOptions(fine=fine, sample=sample)
    try:
        fitted, whole = spots(sample, width, 1), spots(vectors, width, 2)
        write_texts(folder / "first", fitted)
        write_texts(folder / "embeddings", whole)
        common: dict[str, Any] = {"options": options, "quiet": True}
        cpu, *_ = timed(
            lambda: cluster_pairs(embeddings=str(folder / "first"), output=str(folder / "a"),
                                  **common)
        )  # fmt: skip
        print(f"fit of {fine:,} centres on {sample:,} x {width}: {cpu:.1f} s of processor")
        cpu, _, _, found = timed(
            lambda: cluster_pairs(embeddings=str(folder / "embeddings"), output=str(folder / "b"),
                                  centres=str(folder / "a"), **common)
        )  # fmt: skip
        print(
            f"{vectors:,} pairs in {cpu:.1f} s of processor: {vectors / cpu:,.0f} pairs/s per core;"
            f" clusters of {', '.join(str(one['pairs']) for one in found['clusters'])}"
        )
        some = whole[:50_000].astype(np.float16)
        for name, centres in (
            ("balanced", Centres.read(str(folder / "a")).centres),
            ("faiss, spherical", fit_centres(fitted, fine, seed=0, steps=20)),
        ):
            near, distance = nearest_centre(some, centres)
            sizes = np.bincount(near, minlength=fine)
            print(f"{name}: pairs of a centre {sizes.mean():.0f}, standard deviation "
                  f"{sizes.std():.0f}, largest {sizes.max()}, empty {(sizes == 0).sum()}; mean "
                  f"squared distance {np.square(distance).mean():.4f}", flush=True)  # fmt: skip
    finally:
        shutil.rmtree(folder)


def openclip_loop(encoded: list[bytes], name: str, batch: int, workers: int) -> float:
    """Return images per second of processor time of OpenCLIP's model with torch's DataLoader.

    The images are made ready as its `image_transform` does: Pillow, bicubic, the middle.
    """
    import torch
    from torch.utils.data import DataLoader

    from tests.training.their_programs import import_open_clip

    model = import_open_clip().create_model(name).eval()
    data = DataLoader(_Images(encoded), batch, num_workers=workers)

    def run() -> None:
        with torch.inference_mode():
            for images in data:
                torch.nn.functional.normalize(model.encode_image(images), dim=-1)

    with torch.inference_mode():
        model.encode_image(torch.rand(batch, 3, 224, 224))  # what is made at the first one
    cpu, wall, *_ = timed(run)
    print(f"OpenCLIP: {len(encoded) / cpu:.2f} images/s of processor, {len(encoded) / wall:.2f}"
          " images/s", flush=True)  # fmt: skip
    return len(encoded) / cpu


class _Images:
    """A data set of encoded images, as tensors for a model of 224 pixels."""

    def __init__(self, encoded: list[bytes]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, at: int) -> Any:
        import torch

        image = Image.open(io.BytesIO(self._encoded[at])).convert("RGB")
        scale = 224 / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
        return (pixels - mean) / torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


@app.command()
def embed(
    images: Annotated[int, typer.Option(help="to embed")] = 320,
    side: Annotated[int, typer.Option(help="pixels of the shorter side")] = 512,
    model: Annotated[str, typer.Option(help="as OpenCLIP names it")] = "ViT-S-32",
    workers: Annotated[int, typer.Option(help="threads, and OpenCLIP's processes")] = 2,
    rounds: Annotated[int, typer.Option(help="turns of all three")] = 3,
) -> None:
    """Embed images with `curate embed`, with OpenCLIP's loop, and with the model alone."""
    import torch

    from curate.pipelines.embed import EmbedOptions, embed_pairs
    from curate.training.export.files import export_files
    from curate.training.export.load import load_model
    from curate.training.model.clip import CLIP
    from curate.training.model.config import load_model_config
    from curate.training.text.tokenizer import learn_tokenizer

    encoded = (pictures(32, side) * -(-images // 32))[:images]
    config = load_model_config(model.lower())
    words = learn_tokenizer(["a red dog"], 300, config.context_length)
    with tempfile.TemporaryDirectory(prefix="curate-embed-") as name:
        folder = Path(name)
        for file, content in export_files(CLIP(config, words.eos_id), words, "safetensors").items():
            (folder / file).write_bytes(content())
        with webdataset.TarWriter(str(folder / "0.tar"), encoder=False) as tar:
            for number, content in enumerate(encoded):
                tar.write({"__key__": f"{number:06d}", "jpg": content, "txt": b"a red dog"})
        first = 64 * workers
        with webdataset.TarWriter(str(folder / "few.tar"), encoder=False) as tar:
            for number, content in enumerate(encoded[:first]):
                tar.write({"__key__": f"{number:06d}", "jpg": content, "txt": b"a red dog"})
        options = EmbedOptions(run=name, kinds=("image",), device="cpu")
        loaded, _ = load_model(name)
        batch = torch.rand(64, 3, 224, 224)
        torch.set_num_threads(1)

        def run(tar: str) -> None:
            shutil.rmtree(folder / f"of-{tar}", ignore_errors=True)
            embed_pairs(shards=f"{name}/{tar}", output=str(folder / f"of-{tar}"), options=options,
                        workers=workers, quiet=True)  # fmt: skip

        def alone() -> None:
            with torch.inference_mode():
                for _ in range(4):
                    loaded.encode_image(batch)

        ratios = []
        for _ in range(rounds):  # by turns, since the machine is not the same all the time
            theirs = openclip_loop(encoded, model, 64, workers)
            # Loading, and the first batch of each thread, are the time of a short run.
            fixed, *_ = timed(lambda: run("few.tar"))
            cpu, wall, *_ = timed(lambda: run("0.tar"))
            ours = (images - first) / (cpu - fixed)
            alone()
            cpu, *_ = timed(alone)
            ratios.append((ours / theirs, ours / (256 / cpu)))
            print(
                f"curate embed: {ours:.2f} images/s of processor, {images / wall:.2f} images/s "
                f"with its start, {fixed:.1f} s of processor for that and {first} images; tensors "
                f"in memory: {256 / cpu:.2f}; ratio to OpenCLIP {ratios[-1][0]:.2f}, to tensors in "
                f"memory {ratios[-1][1]:.2f}", flush=True,
            )  # fmt: skip
        middle = np.median(ratios, axis=0)
        print(f"median: to OpenCLIP {middle[0]:.2f}, to tensors in memory {middle[1]:.2f}")


if __name__ == "__main__":
    app()
