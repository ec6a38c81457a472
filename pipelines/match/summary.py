"""What became of the records of a part, in numbers that add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate.pipelines.inputs.bad_reasons import BAD_REASONS
from curate.pipelines.matched.facts import FACTS

__all__ = ["PartSummary"]

_NUM_EXAMPLES = 4  # dropped texts of a reason, to be shown
_MOST_CHARACTERS = 240
_NUM_LABELS = 20  # unknown labels of an input's language column, to be shown
_SCRAMBLE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class PartSummary:
    """Counts of records; those of parts add up.

    Attributes:
        by_lang: read, matched, and dropped by reason, per language.
        lost_files: how many files could not be read to their end.
        examples: texts dropped for a reason, each behind a number that orders them and its
            language; the first few over all parts stay.
        unknown_labels: rows of each label of the input's language column that no table knows; the
            first labels in alphabetical order stay, so that sums do not depend on an order.
        num_unknown_labels: rows of all of them.
        steps: records by what decided over their language.
        facts: matched pairs with an image, and without a URL, as `pair_facts` counts them.
    """

    by_lang: dict[str, Counter[str]] = field(default_factory=dict)
    lost_files: int = 0
    examples: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    unknown_labels: Counter[str] = field(default_factory=Counter)
    num_unknown_labels: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)

    def add_steps(self, steps: Counter[str]) -> None:
        """Count records by what decided over their language."""
        self.steps.update(steps)

    def add_facts(self, facts: Counter[str]) -> None:
        """Count matched pairs by what is known of their images and URLs."""
        self.facts.update(facts)

    def add_unknown_labels(self, rows: Counter[str], num: int | None = None) -> None:
        """Count rows by their unknown label; `num` in all, None if `rows` has every label."""
        self.num_unknown_labels += rows.total() if num is None else num
        both = self.unknown_labels + rows
        self.unknown_labels = Counter({name: both[name] for name in sorted(both)[:_NUM_LABELS]})

    def add(self, lang: str, what: str, num: int) -> None:
        """Count records: `what` is "matched" or a reason for dropping."""
        if num:
            counter = self.by_lang.setdefault(lang, Counter())
            counter["read"] += num
            counter[what] += num

    def add_examples(
        self,
        reason: str,
        dropped: NDArray[np.int64],
        rows: NDArray[np.int64],
        texts: pa.StringArray,
        langs: pa.Array,
    ) -> None:
        """Remember some of the texts that were dropped for a reason.

        Args:
            reason: for all of them.
            dropped: their places among the texts.
            rows: positions of the texts in their file; scrambled, they decide which are remembered.
            texts: alt-texts.
            langs: languages of the texts, a dictionary array.
        """
        keys = (rows[dropped].astype(np.uint64) * _SCRAMBLE) >> np.uint64(16)
        found = [
            (int(keys[i]), langs[int(at)].as_py(), texts[int(at)].as_py()[:_MOST_CHARACTERS])
            for i in np.argsort(keys, kind="stable")[:_NUM_EXAMPLES].tolist()
            for at in [dropped[i]]
        ]
        best = sorted([*self.examples.get(reason, []), *found])[:_NUM_EXAMPLES]
        self.examples.update({reason: best} if best else {})

    def __iadd__(self, other: "PartSummary") -> "PartSummary":
        for lang, counter in other.by_lang.items():
            self.by_lang.setdefault(lang, Counter()).update(counter)
        self.lost_files += other.lost_files
        for reason, found in other.examples.items():
            best = sorted([*self.examples.get(reason, []), *found])
            self.examples[reason] = best[:_NUM_EXAMPLES]
        self.add_unknown_labels(other.unknown_labels, other.num_unknown_labels)
        self.facts.update(other.facts)
        self.steps.update(other.steps)
        return self

    def log_figures(self) -> dict[str, Any]:
        """Return what a worker's log says of a part."""
        return {"read": self.read, "matched": self.matched, "dropped": self.dropped()}

    def _total(self, what: str) -> int:
        return sum(counter[what] for counter in self.by_lang.values())

    @property
    def read(self) -> int:
        """Records read, bad ones included."""
        return self._total("read")

    @property
    def matched(self) -> int:
        """Records with at least one entry."""
        return self._total("matched")

    def dropped(self) -> dict[str, int]:
        """Return the number of dropped records by reason."""
        reasons = sorted({r for c in self.by_lang.values() for r in c} - {"read", "matched"})
        return {reason: self._total(reason) for reason in reasons}

    def bad_reasons(self) -> dict[str, int]:
        """Return the number of bad records by reason."""
        return {r: num for r, num in self.dropped().items() if r in BAD_REASONS}

    @property
    def bad(self) -> int:
        """Bad records."""
        return sum(self.bad_reasons().values())

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-able values, overall and per language."""
        languages = {}
        for lang, counter in sorted(self.by_lang.items()):
            dropped = {r: n for r, n in sorted(counter.items()) if r not in ("read", "matched")}
            languages[lang] = {"read": counter["read"], "matched": counter["matched"],
                               "dropped": dropped}  # fmt: skip
        examples = {
            reason: [{"key": key, "lang": lang, "text": text} for key, lang, text in found]
            for reason, found in sorted(self.examples.items())
        }
        labels = {"rows": self.num_unknown_labels, "first": dict(self.unknown_labels)}
        return {"read": self.read, "matched": self.matched, "dropped": self.dropped(),
                "lost_files": self.lost_files, "languages": languages, "examples": examples,
                **({"language_decided_by": dict(sorted(self.steps.items()))} if self.steps else {}),
                **({"unknown_labels": labels} if labels["rows"] else {}),
                **{name: num for name, num in sorted(self.facts.items()) if num}}  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "PartSummary":
        """Return the summary that `as_dict` gave the values of."""
        by_lang = {
            lang: Counter({"read": v["read"], "matched": v["matched"], **v["dropped"]})
            for lang, v in values["languages"].items()
        }
        examples = {
            reason: [(e["key"], e["lang"], e["text"]) for e in found]
            for reason, found in values.get("examples", {}).items()
        }
        labels = values.get("unknown_labels", {"rows": 0, "first": {}})
        first = Counter(labels["first"])
        facts = Counter({name: values[name] for name in FACTS if name in values})
        steps = Counter(values.get("language_decided_by", {}))
        return cls(by_lang, values["lost_files"], examples, first, labels["rows"], facts, steps)
