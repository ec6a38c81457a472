"""The shards of a run as a stream of batches."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.caption_tables.check import require_joined
from curate.pipelines.caption_tables.join import joined_captions
from curate.pipelines.clustered.expert import opened_expert
from curate.pipelines.embedded.lookup import StoredVectors
from curate.pipelines.embedded.plan import EmbeddedPlan, known_crops
from curate.pipelines.store import artifacts
from curate.pipelines.train.extras import TrainExtras
from curate.pipelines.train.shard_facts import ShardFacts
from curate.pipelines.train.start import is_stored
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import PairTexts, TextMix
from curate.training.data.batch import KnownCrops
from curate.training.experts.choice import Expert
from curate.training.loop.config import TrainConfig

__all__ = [
    "Loading", "epochs_seen", "pairs_per_epoch", "read_online", "refuse_twice", "shard_sums",
]  # fmt: skip

_MOST_READ = 1000  # shards whose headers are read to know how many pairs an epoch has


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Where the pairs of a run come from.

    Attributes:
        tars: the shards.
        facts: what is known of each of them.
        config: how to train.
        extras: what decides how shards are read.
        lanes: that batches are taken from.
        image_size: pixels of both sides.
        world: the ranks.
        texts: draws one of the texts of a pair; None: its alt-text.
        expert: decides which pairs are trained on; None: all are.
    """

    tars: Sequence[str]
    facts: Sequence[ShardFacts]
    config: TrainConfig
    extras: TrainExtras
    lanes: int
    image_size: int
    world: Any
    texts: PairTexts | None = None
    expert: Expert | None = None

    def open_texts(self, digest: str | None, *, is_new: bool, quiet: bool) -> TextMix | None:
        """Return what draws the texts of pairs; None where they have their alt-texts alone.

        Args:
            digest: of the tables of captions, as the run's identity has it.
            is_new: the run begins: captions that are of other pairs are refused.
            quiet: no messages.

        Raises:
            InputError: no caption is of a pair of the shards.
            UsageError: a share is missing, out of range, or of a source that there is not.
        """
        options = self.extras.captions
        if not options.is_any:
            return None
        index = self.open_captions(digest, is_new=is_new, quiet=quiet)
        return options.mix(self.config.seed, index)

    def open_captions(
        self, digest: str | None, *, is_new: bool, quiet: bool
    ) -> CaptionIndex | None:
        """Return the captions of tables; None without any. Arguments as for `open_texts`.

        Raises:
            InputError: no caption is of a pair of the shards.
        """
        options = self.extras.captions
        index = joined_captions(options, digest or "", quiet=quiet)
        if index is not None and is_new and self.world.is_main and not options.json_keys:
            require_joined(index, options.tables, self._there(), self._cache().open)
        return index

    def open_expert(self, values: Mapping[str, Any], *, quiet: bool) -> Expert | None:
        """Return what decides which pairs are trained on; None where all are.

        Args:
            values: of the run's config.json.
            quiet: no messages.

        Raises:
            ArtifactError: the clusters are damaged.
        """
        options = self.extras.expert
        if options is None:
            return None
        return opened_expert(options, values["expert"], self.config.seed, quiet=quiet)

    def _there(self) -> list[str]:
        lost = self._lost()
        return [tar for tar in self.tars if tar not in lost]

    def _lost(self) -> dict[str, int]:
        """Return the shards that are not there any more, and how many samples they had."""
        if not self.extras.allow_lost:
            return {}
        folders = {tar.rpartition("/")[0] or "." for tar in self.tars}
        there = {folder: _names(folder) for folder in folders}
        return {
            tar: one.samples or 0 for tar, one in zip(self.tars, self.facts, strict=True)
            if tar.rpartition("/")[2] not in there[tar.rpartition("/")[0] or "."]
        }  # fmt: skip

    def _cache(self) -> Any:
        from curate.training.data.shard_cache import ShardCache, default_folder

        return ShardCache(
            folder=self.extras.shard_cache or default_folder(),
            max_bytes=int(self.extras.shard_cache_gb * 1e9),
        )

    @property
    def has_vectors(self) -> bool:
        """Whether a teacher's vectors are stored: of certain cuts, and of the first text."""
        return self.extras.teacher is not None and is_stored(self.extras.teacher)

    def _crops(self) -> KnownCrops | None:
        if not self.has_vectors:
            return None
        return known_crops(EmbeddedPlan.read(str(self.extras.teacher)).parameters)

    def stored_vectors(self, *, quiet: bool) -> StoredVectors:
        """Open the teacher's vectors.

        Raises:
            ArtifactError: embedding has not come to its end.
            UsageError: texts are others than those that were embedded, or a scale is missing.
        """
        if self.extras.captions.is_any:
            raise UsageError(
                "--teacher with stored vectors and --captions: the vectors are of the alt-texts. "
                "Name the model itself as --teacher."
            )
        if self.config.distill is not None and self.config.distill.teacher_scale is None:
            raise UsageError(
                "--teacher-scale own with stored vectors: nobody stored the teacher's scale; give "
                "it as a number"
            )
        return StoredVectors(str(self.extras.teacher), self._cache().folder, quiet=quiet)

    def captions(self) -> Iterator[str]:
        """Yield the captions of all pairs, in turn with those of tables."""
        from curate.training.data.loader import captions

        sums = shard_sums(self.tars, self.facts)
        found = captions(self._there(), self._cache().open, sums)
        if not isinstance(self.texts, TextMix) or self.texts.index is None:
            return found
        pairs = zip_longest(found, self.texts.index.texts())
        return (text for pair in pairs for text in pair if text is not None)

    def batches(self, tokenizer: Any, position: Any, more: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield this rank's share of the batches.

        Args:
            tokenizer: for the captions.
            position: where to go on.
            more: other tokenizers for the same captions.
        """
        from curate.training.data.loader import Loader, LoaderConfig

        config = LoaderConfig(
            image_size=self.image_size,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            shuffle_pairs=self.config.shuffle_pairs,
            rank=self.world.rank,
            num_ranks=self.world.size,
            lanes=self.lanes,
            unit=self.extras.unit,
            batch_by=self.extras.batch_by,
            super_batch=self.extras.super_batch,
            decoder=self.extras.decoder,
            threads=self.extras.threads or _cores_of_rank(self.world.size),
            device=str(self.world.device),
            pin_memory=self.world.device.type == "cuda",
            crops=self._crops(),
        )
        loader = Loader(
            self.tars, tokenizer, config, online=read_online(self.extras.online),
            cache=self._cache(), sums=shard_sums(self.tars, self.facts), lost=self._lost(),
            num_samples={tar: one.samples for tar, one in zip(self.tars, self.facts, strict=True)
                         if one.samples is not None},
            more_tokenizers=more, texts=self.texts, expert=self.expert,
            takes_first=self.has_vectors,
        )  # fmt: skip
        return loader.batches(position)

    def pairs_per_epoch(self, epoch: int) -> int | None:
        """Return how many pairs an epoch can train on; None if nobody knows without fetching."""
        from curate.training.data.arrange import chooser
        from curate.training.data.sampler import Sampler

        arrange = chooser(self.extras.batch_by, self.extras.super_batch)
        sampler = Sampler(
            shards=self.tars, seed=self.config.seed, shuffle_pairs=self.config.shuffle_pairs,
            unit=self.extras.unit, online=read_online(self.extras.online), cache=self._cache(),
            lost=self._lost(), needs_text=self.texts is None, expert=self.expert, arrange=arrange,
        )  # fmt: skip
        chooses = arrange is not None or self.expert is not None or self.extras.online is not None
        is_whole = self.extras.unit == "pair" and not chooses
        known = [one.samples for one in self.facts] if is_whole else []
        return pairs_per_epoch(self.tars, sampler, epoch, known)


def refuse_twice(tars: Sequence[str]) -> None:
    """Refuse a shard that is named twice: its pairs would come twice in an epoch.

    Raises:
        UsageError: one is.
    """
    twice = [tar for tar, num in Counter(tars).items() if num > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice by --shards; name each folder once")


def shard_sums(tars: Sequence[str], facts: Sequence[ShardFacts]) -> dict[str, str]:
    """Return xxh3_128 of the shards that are ours, by path."""
    pairs = zip(tars, facts, strict=True)
    return {tar: one.xxh3_128 for tar, one in pairs if one.xxh3_128 is not None}


def read_online(folder: str | None) -> Any:
    """Return the balancing that a folder of `balance` stands for; None without one.

    Raises:
        ArtifactError: there are no probabilities in it.
        UsageError: it was balanced to an exact number of pairs.
    """
    from curate.training.data.loader import Online

    if folder is None:
        return None
    paths = storage.list_files(storage.join(folder, "probabilities"), ".parquet")
    if not paths:
        raise ArtifactError(
            f"{folder}: there are no probabilities/*.parquet in it; expected a folder that "
            "`curate balance` wrote"
        )
    plan = storage.join(folder, artifacts.PLAN)
    if storage.exists(plan) and artifacts.read_json(plan)["parameters"].get("exact"):
        raise UsageError(
            f"{folder} was balanced with --exact, which probabilities alone do not repeat while "
            "loading. Train on its shards, or balance with --t."
        )
    probability = {}
    for path in paths:
        column = artifacts.read_table(path, ["probability"]).column("probability")
        probability[path.rsplit("/", 1)[-1].removesuffix(".parquet")] = column.to_numpy()
    return Online(probability)


def _cores_of_rank(num_ranks: int) -> int:
    """Return how many cores a rank may use, if those of a machine share them."""
    of_machine = int(os.environ.get("LOCAL_WORLD_SIZE", num_ranks))
    return max(1, len(os.sched_getaffinity(0)) // of_machine)


def _names(folder: str) -> set[str]:
    return {path.rpartition("/")[2] for path in storage.list_files(folder, ".tar")}


def pairs_per_epoch(
    tars: Sequence[str], sampler: Any, epoch: int, known: Sequence[int | None]
) -> int | None:
    """Return how many pairs an epoch can train on.

    Args:
        tars: the shards.
        sampler: gives the groups of an epoch.
        epoch: of which; its draws decide where pairs are balanced while they are loaded.
        known: pairs that each shard is said to have; [] where not all of them are trained on.
            Where nobody says it, the headers of the tars are read, if they are a few local ones.

    Returns:
        None if it is not known without reading more than that.
    """
    if known and None not in known:
        return sum(num for num in known if num is not None)
    if len(tars) > _MOST_READ or any(storage.is_remote(tar) for tar in tars):
        return None
    return sum(len(group) for group in sampler.groups(epoch))


def epochs_seen(pairs_seen: int, per_epoch: int | None) -> float | None:
    """Return how often each pair was seen, on average; None if it is not known.

    >>> epochs_seen(19_200, 62_642)
    0.31
    """
    return round(pairs_seen / per_epoch, 2) if per_epoch else None
