"""embed and what stands on vectors, on a cluster, and killed: the same bytes."""

import random
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.cluster.stage import cluster_pairs
from curate.pipelines.decontaminate.options import DecontaminateOptions
from curate.pipelines.decontaminate.stage import decontaminate_pairs
from curate.pipelines.dedup.options import DedupOptions
from curate.pipelines.dedup.stage import dedup_pairs
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.executor.cluster import Cluster, use_cluster
from curate.pipelines.sample.options import SampleOptions
from curate.pipelines.sample.stage import sample_pairs
from curate.pipelines.score.options import ScoreOptions
from curate.pipelines.score.stage import score_pairs
from tests.pipelines.dedup.test_dedup import clouds, vector_parts
from tests.pipelines.embedded_helpers import encoded, picture, planted, write_embeddings
from tests.pipelines.helpers import KILLS, contents, match, write_metadata
from tests.pipelines.slurm_cluster import missing, slurm_cluster

pytestmark = pytest.mark.slow

CURATE = (sys.executable, "-c", "from curate.cli.main import main; main()")
OUTPUTS = ("embeddings", "deduped", "near", "scores", "decontaminated", "clusters", "sampled")
OF_VECTORS = {
    "clusters": ["cluster", "--embeddings", "texts", "--fine", "8", "--coarse", "2"],
    "sampled": ["sample", "--embeddings", "vectors", "--target-pairs", "60", "--clusters", "9,3",
                "--report-only"],
}  # fmt: skip


def world(folder):
    """Match pictures in three parts, and write vectors and an evaluation set beside them."""
    for part in range(3):
        pictures = [one for seed in range(3 * part, 3 * part + 3)
                    for one in planted(picture(seed)).values()]  # fmt: skip
        urls = [f"https://a.org/{part}-{i}.jpg" for i in range(len(pictures))]
        urls[:2] = ["https://a.org/0-0.jpg", "https://a.org/0-1.jpg"]  # which the first part lends
        table = {"url": urls, "text": [f"red {part} {i}" for i in range(len(pictures))],
                 "image": pictures}  # fmt: skip
        (folder / "in").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), folder / f"in/{part}.parquet")
    metadata = write_metadata(folder / "metadata", {"en": ["red"]})
    for part in range(3):  # one after the other: small files would be matched together
        inputs = [folder / f"in/{i}.parquet" for i in range(part + 1)]
        match(inputs, metadata, folder / "matched")
    parts = vector_parts(clouds(200, 2), [250, 350])
    write_embeddings(folder / "vectors", parts)
    texts = [{"pair_id": p["pair_id"], "lang": ["en"] * len(p["image"]), "text": p["image"]}
             for p in parts]  # fmt: skip
    write_embeddings(folder / "texts", texts)
    for label, seed in (("cat", 0), ("dog", 4)):
        (folder / f"set/{label}").mkdir(parents=True)
        (folder / f"set/{label}/a.jpg").write_bytes(encoded(picture(seed)))
    return folder


def run_stages(folder, output):
    """Run the stages; their outputs are beside each other."""
    matched, vectors = str(folder / "matched"), str(folder / "vectors")
    options = {"workers": 2, "quiet": True}
    embed_pairs(
        output=str(output / "embeddings"), options=EmbedOptions(), matched=matched, **options
    )
    embedded = str(output / "embeddings")
    for name, source in (("deduped", embedded), ("near", vectors)):
        dedup_pairs(embeddings=source, output=str(output / name), options=DedupOptions(), **options)
    score_pairs(embeddings=embedded, output=str(output / "scores"), options=ScoreOptions(),
                **options)  # fmt: skip
    decontaminate_pairs([str(folder / "set")], embeddings=embedded, matched=matched, enter=False,
                        output=str(output / "decontaminated"), options=DecontaminateOptions(),
                        **options)  # fmt: skip
    cluster_pairs(embeddings=str(folder / "texts"), output=str(output / "clusters"),
                  options=ClusterPairsOptions(fine=8, coarse=2), **options)  # fmt: skip
    sample_pairs(embeddings=vectors, output=str(output / "sampled"),
                 options=SampleOptions(target_pairs=60, clusters=(9, 3)), **options)  # fmt: skip


def test_ray_gives_the_same_bytes(tmp_path):
    folder = world(tmp_path)
    run_stages(folder, tmp_path / "here")
    with use_cluster(Cluster(kind="ray")):
        run_stages(folder, tmp_path / "ray")
    for name in OUTPUTS:
        expected = contents(tmp_path / "here" / name)
        assert contents(tmp_path / "ray" / name) == expected and len(expected) > 2, name


def test_slurm_gives_the_same_bytes(tmp_path):
    if reason := missing():
        pytest.skip(reason)
    folder = world(tmp_path / "data")
    shutil.copytree(folder, tmp_path / "slurm")
    with slurm_cluster(tmp_path / "cluster") as environment:
        for words in (["embed"], ["score"], *OF_VECTORS.values()):
            run(folder, words)
            run(tmp_path / "slurm", [*words, "--executor", "slurm", "--slurm-minutes", "5"],
                env=environment)  # fmt: skip
    for name in ("embeddings", "scores", *OF_VECTORS):
        assert contents(tmp_path / "slurm" / name) == contents(folder / name), name


def run(folder, words, **options):
    found = subprocess.run([*CURATE, *words, "-w", ".", "--workers", "2", "--quiet"], cwd=folder,
                           capture_output=True, check=False, timeout=300, **options)  # fmt: skip
    assert found.returncode == 0, found.stderr


def begin(folder, words, plan):
    """Begin a command; wait until it has written its plan, again, or has ended."""
    path = folder / plan
    before = path.stat().st_mtime_ns if path.exists() else None
    command = [*CURATE, *words, "-w", ".", "--workers", "2", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
        time.sleep(0.002)
    return process


@pytest.mark.parametrize(
    ("words", "output"),
    [(["score", "--filter", "aspect<=1.4"], "scores"),
     (["decontaminate", "set"], "decontaminated"),
     (OF_VECTORS["sampled"], "sampled")],
)  # fmt: skip
def test_killed_at_random_moments_they_end_with_the_same_bytes(tmp_path, words, output):
    folder = world(tmp_path / "a")
    embed_pairs(output=str(folder / "embeddings"), options=EmbedOptions(), quiet=True,
                matched=str(folder / "matched"))  # fmt: skip
    shutil.copytree(folder, tmp_path / "b")
    process = begin(folder, words, f"{output}/plan.json")
    began = time.monotonic()
    assert process.communicate()[1] == b"" and process.returncode == 0
    seconds, rng = time.monotonic() - began, random.Random(2)
    for _ in range(max(2, KILLS // 7)):
        process = begin(tmp_path / "b", words, f"{output}/plan.json")
        time.sleep(rng.uniform(0, 1) * seconds)
        process.kill()
        process.communicate()
    run(tmp_path / "b", words)
    for name in (output, "matched"):
        assert contents(tmp_path / "b" / name) == contents(folder / name), name
