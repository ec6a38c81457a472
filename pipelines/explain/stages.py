"""What `explain` has to know of the stages that have run: plans, counts, t, tombstones."""

from dataclasses import dataclass, replace
from typing import Any

from curate.curation.matching.normalize import Normalization, check_normalization
from curate.errors import InputError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.lid.options import LidOptions
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.find_pair import StoredPair, find_in_balanced, find_in_matched
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.stale import require_metadata
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.store import artifacts

__all__ = ["Stages"]

_NOTES = {
    "balanced": "the balanced set was made from other matches than those that are there now; run "
    "`curate balance` again",
    "lid_model": "the matches were made with another language model; name it with --lid-model",
    "lid": "the matches were made with another way to identify languages (--lid, --second-opinion)",
    "match_filters": "the matches were made with filters, which are not asked here and may drop a "
    "pair before it is matched: {}",
    "balance_filters": "the balanced set was made with filters, which are not asked here and may "
    "drop a pair that is drawn: {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What is there of `matched/` and `balanced/`; None for what is not.

    Attributes:
        matched: folder.
        plan: of it.
        balanced: folder.
        parameters: that it was made with.
        tombstones: of `matched`.
    """

    matched: str
    plan: MatchedPlan | None
    balanced: str
    parameters: dict[str, Any] | None
    tombstones: Tombstones

    @classmethod
    def open(cls, matched: str, balanced: str) -> "Stages":
        """Read the plans of two folders."""
        there = storage.exists(storage.join(matched, "plan.json"))
        path = storage.join(balanced, "plan.json")
        return cls(
            matched=matched,
            plan=MatchedPlan.read(matched) if there else None,
            balanced=balanced,
            parameters=artifacts.read_json(path)["parameters"] if storage.exists(path) else None,
            tombstones=Tombstones.read(matched),
        )

    def dropped_as(self, pair_id: str | None) -> str | None:
        """Return why a pair does not count, None if it does."""
        if pair_id is None:
            return None
        drops = Drops.read(self.matched)
        code = int(drops.found(artifacts.strings([pair_id]))[0])
        return None if code < 0 else drops.reasons[code]

    def find(self, pair_id: str) -> StoredPair | None:
        """Return a stored pair, or None if it is retracted.

        Raises:
            InputError: it is neither stored nor retracted.
        """
        found = find_in_matched(pair_id, self.plan) if self.plan else None
        if found is None and self.plan is None and self.parameters is not None:
            found = find_in_balanced(pair_id, self.balanced)
        if found is None and pair_id not in self.tombstones.known_ids():
            raise InputError(
                f"pair {pair_id!r} is not in {self.matched if self.plan else self.balanced}. "
                "Pairs that match no entry are not stored: give the text itself, "
                "curate explain TEXT."
            )
        return found

    def counts_path(self, lang: str, metadata_hash: str) -> str | None:
        """Return the file with a language's counts, or None where nothing is counted yet.

        Raises:
            ArtifactError: it is of other metadata.
        """
        if self.plan is not None:
            if self.plan.parameters["metadata"].get(lang) != metadata_hash:
                known = {**self.plan.parameters["metadata"], lang: metadata_hash}
                require_metadata(self.plan, known)
            return self.plan.counts_path(lang) if self.plan.summary() else None
        path = storage.join(self.balanced, "probabilities", f"{lang}.parquet")
        if self.parameters is None or not storage.exists(path):
            return None
        with artifacts.open_parquet(path) as file:
            found = (file.metadata.metadata or {})[b"metadata_hash"].decode()
        way = f"Run `{suggest('match')}` and `{suggest('balance')}` again, or name its --metadata."
        artifacts.require_same(path, {"metadata": found}, {"metadata": metadata_hash}, remedy=way)
        return path

    def normalization(self) -> Normalization:
        """Return the one that the pairs were matched with; the default where none are."""
        chosen = self.plan.parameters["normalization"] if self.plan else "standard"
        return check_normalization(chosen)

    def lid_options(self, kind: str | None, second: str | None) -> LidOptions:
        """Return how languages are identified: as asked for, else as matched, else the default.

        Raises:
            UsageError: what is asked for cannot be meant.
            InputError: the matches had a second opinion that has to be named.
        """
        made = LidOptions()
        if self.plan and kind is None and (second is None or "lid" not in self.plan.parameters):
            made = LidOptions.from_parameters(self.plan.parameters)
        chosen = replace(made, kind=kind or made.kind, second=second or made.second)
        return chosen.resolved(quiet=True)

    def lid_notes(self, options: LidOptions) -> list[str]:
        """Say so if languages are identified otherwise than where the matches were made."""
        if not self.plan or self.plan.parameters["lang"] is not None:
            return []
        made = self.plan.parameters.get("lid")
        now = options.as_parameters().get("lid")
        is_same = (made and made["second"]) == (now and now["second"])
        return [] if is_same else [_NOTES["lid"]]

    def t_of(self, lang: str) -> int | None:
        """Return the t that the set was balanced with."""
        t: int | None = (self.parameters or {}).get("t_of_language", {}).get(lang)
        return t

    def exact(self) -> ExactCut | None:
        """Return where what t keeps is cut off, if the set was balanced so."""
        return ExactCut.from_parameters(self.parameters or {})

    def notes(self, lid_model: str | None) -> list[str]:
        """Return what could make the explanation differ from what was done."""
        notes = []
        if self.plan and self.parameters and self.parameters["matched"] != self.plan.digest():
            notes.append(_NOTES["balanced"])
        made_with = self.plan.parameters["lid_model"] if self.plan else None
        if lid_model and made_with and storage.file_sha256(lid_model) != made_with:
            notes.append(_NOTES["lid_model"])
        made_from = {"match": self.plan.parameters if self.plan else {},
                     "balance": self.parameters or {}}  # fmt: skip
        for stage, parameters in made_from.items():
            if filters := [one["filter"] for one in parameters.get("filters", [])]:
                notes.append(_NOTES[f"{stage}_filters"].format(", ".join(filters)))
        return notes
