"""A workspace with clusters of colours, a run of all pairs, and experts that go on from it."""

from curate.pipelines.cluster.options import ClusterPairsOptions
from curate.pipelines.cluster.stage import cluster_pairs
from curate.pipelines.clustered.expert import ExpertOptions
from curate.pipelines.embed.options import EmbedOptions
from curate.pipelines.embed.stage import embed_pairs
from curate.pipelines.train.stage import TrainExtras, train_model
from curate.training.loop.config import TrainConfig
from tests.pipelines.train_helpers import write_train_workspace
from tests.training.embedding.test_encoders import static_model


def write_expert_workspace(folder):
    """Write 120 pairs of four colours, their clusters, and a run of 40 steps with checkpoints."""
    folder = write_train_workspace(folder)
    static_model(folder / "static", ["red", "green", "blue", "white"])
    embed_pairs(
        output=str(folder / "embeddings"), matched=str(folder / "matched"), quiet=True,
        options=EmbedOptions(text_encoder=str(folder / "static"), kinds=("text",)),
    )  # fmt: skip
    cluster(folder, "clusters")
    full(folder, "full")
    return folder


def cluster(folder, name, **options):
    cluster_pairs(embeddings=str(folder / "embeddings"), output=str(folder / name), quiet=True,
                  matched=str(folder / "matched"),
                  options=ClusterPairsOptions(**{"fine": 4, "coarse": 2, **options}))  # fmt: skip


def train(folder, name, extras=None, model=None, **config):
    return train_model(
        shards=str(folder / "balanced/shards"), output=str(folder / name), model=model,
        config=TrainConfig(**{"checkpoint_every": 10, "log_every": 5, **config}), extras=extras,
        device="cpu", quiet=True,
    )  # fmt: skip


SCHEDULE = {"steps": 40, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 4}


def full(folder, name, **config):
    values = {**SCHEDULE, "keep_checkpoints": 9, **config}
    return train(folder, name, model=str(folder / "tiny.json"), **values)


def expert(folder, number, name=None, *, init="full@20", outside=0.02, clusters="clusters",
           **config):  # fmt: skip
    options = ExpertOptions(cluster=number, clusters=str(folder / clusters), outside=outside)
    extras = TrainExtras(init=str(folder / init), expert=options)
    return train(folder, name or f"expert-{number}", extras, **config)
