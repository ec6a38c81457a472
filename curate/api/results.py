"""What commands return: the summary as attributes and as items, a table in words, and Arrow.

`print(result)` shows what the command line shows; a notebook shows the data card, or the same
table.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BalanceResult",
    "CaptionResult",
    "CaptionerResult",
    "CardResult",
    "DiffResult",
    "DownloadResult",
    "EvalResult",
    "Explanation",
    "ExportResult",
    "ExtractResult",
    "JudgeResult",
    "MatchResult",
    "MetadataResult",
    "Result",
    "RetractResult",
    "Status",
    "TrainResult",
    "YieldResult",
]


class Result(Mapping[str, Any]):
    """A command's summary: values by name, as attributes and as items.

    Attributes:
        folder: where the command wrote; None if it writes nothing.
    """

    folder: str | None
    _view: ClassVar[tuple[str, str]]

    def __init__(
        self, values: Mapping[str, Any], folder: str | None = None, keep: object = None
    ) -> None:
        self._values = dict(values)
        self.called: tuple[str, tuple[str, ...], Mapping[str, Any]] = ("", (), {})
        self._keep = keep  # a folder of its own lasts as long as what lies in it is looked at
        self.folder = folder

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._values:
            return self._values[name]
        known = ", ".join(self.__dict__.get("_values", ()))
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {known}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {str(self).rpartition(chr(10))[2] or self.folder}>"

    def __str__(self) -> str:
        from curate.pipelines.views.terminal import inert_lines

        return inert_lines(self.table())

    def table(self, *, colour: bool = False) -> str:
        """Return what the command line shows.

        Args:
            colour: with a terminal's colours, where the command has any.
        """
        room, name = self._view
        view = getattr(import_module(f"curate.pipelines.{room}"), name)
        options = {"output": self.folder or "", "colour": colour}
        takes = signature(view).parameters.keys() & options.keys()
        from curate.files.remedies import in_force

        with in_force(*self.called):  # so that what it suggests can be pasted
            shown: str = view(self._values, **{name: options[name] for name in takes})
        return shown

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON-able values: what ``--json`` prints."""
        return self._values


class MetadataResult(Result):
    """What `build_metadata` built."""

    languages: dict[str, Any]
    output: str

    _view = ("build_metadata", "metadata_table")

    def to_arrow(self, lang: str) -> "pa.Table":
        """Return the entries of a language: entry, source, score; the row is the entry's id."""
        from curate.pipelines.store import artifacts

        return artifacts.read_table(f"{self.folder}/{lang}.parquet")


class ExtractResult(Result):
    """What `extract` found in crawl files."""

    records: dict[str, Any]
    read: int
    pairs: int
    dropped: dict[str, int]

    _view = ("extract", "extract_table")

    def to_arrow(self) -> "pa.Table":
        """Return all pairs."""
        return _stored(self.folder or "")


class CaptionResult(Result):
    """What became of the pairs that `caption` was to describe."""

    read: int
    captions: int
    skipped: dict[str, int]
    failed: dict[str, int]
    counts: dict[str, int]

    _view = ("caption", "caption_table")

    def to_arrow(self) -> "pa.Table":
        """Return the captions: pair_id, source, text, lang, model."""
        return _stored(f"{self.folder}/pairs")


class CaptionerResult(Result):
    """The card of a captioner; of a run that was asked to stop, how far it came."""

    _view = ("train_captioner", "captioner_table")


class JudgeResult(Result):
    """What `judge_captions` found."""

    captions: int
    kept: int
    dropped: dict[str, int]
    means: dict[str, float]
    entries: dict[str, Any]

    _view = ("judge_captions", "judge_table")


class MatchResult(Result):
    """What `match` read, matched and dropped."""

    read: int
    matched: int
    dropped: dict[str, int]
    languages: dict[str, Any]
    inputs: int

    _view = ("match", "match_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return the matched pairs: the input's columns and ours, or some of them."""
        return _stored(f"{self.folder}/pairs", columns)


class CardResult(Result):
    """A data card: what balancing did."""

    t: int
    seed: int
    total: dict[str, Any]
    languages: dict[str, Any]

    _view = ("card", "card_table")

    def _repr_html_(self) -> str:
        """Show the card's page, which asks for nothing outside itself."""
        from html import escape

        from curate.files import storage

        path = f"{self.folder}/datacard.html"
        if "languages" not in self._values or not storage.exists(path):
            return super()._repr_html_()
        page = escape(storage.read_text(path), quote=True)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" title="data card" '
            'style="width: 100%; height: 40em; border: 1px solid #8888"></iframe>'
        )


class BalanceResult(CardResult):
    """A balanced set, and its data card."""

    _view = ("balance", "balance_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return the kept pairs with their probability, where they are stored as Parquet.

        Raises:
            ArtifactError: they are in shards, with their images.
        """
        return _stored(f"{self.folder}/pairs", columns)


class YieldResult(Result):
    """What thresholds would keep."""

    yields: list[dict[str, Any]]
    matched: int
    notes: list[str]

    _view = ("yields", "yield_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a threshold: t, kept, expected, slots."""
        import pyarrow as pa

        names = ("t", "kept", "expected", "slots")
        return pa.Table.from_pylist([{n: row[n] for n in names} for row in self.yields])


class DownloadResult(Result):
    """What came of the URLs."""

    read: int
    downloaded: int
    failed: dict[str, int]

    _view = ("download", "download_table")


class RetractResult(Result):
    """What was taken out, and what is left."""

    _view = ("retract", "retract_table")


class Explanation(Result):
    """Why a text matches what it matches, and whether its pair is kept."""

    lang: str
    decision: str

    _view = ("explain", "explanation")

    def to_arrow(self) -> "pa.Table":
        """Return a row a match: normalization, entry, entry_id, source, count, probability."""
        import pyarrow as pa

        names = ("entry", "entry_id", "source", "count", "probability")
        rows = [
            {"normalization": way, **{n: match.get(n) for n in names}}
            for way, found in self._values.get("normalizations", {}).items()
            for match in found["matches"]
        ]
        return pa.Table.from_pylist(rows)


class DiffResult(Result):
    """What differs between two folders."""

    kind: str

    _view = ("diff", "diff_table")


class Status(Result):
    """The state of a workspace."""

    workspace: str
    stages: dict[str, Any]

    _view = ("status", "status_table")


class TrainResult(Result):
    """A trained model's card, or how far an interrupted run came."""

    _view = ("train", "train_table")


class EvalResult(Result):
    """Figures of a model on held-out sets, with their intervals."""

    results: dict[str, Any]

    _view = ("evaluate", "eval_table")


class ExportResult(Result):
    """What an export holds: its files with size and sha256."""

    format: str
    files: dict[str, Any]

    _view = ("export", "export_table")


def _stored(folder: str, columns: list[str] | None = None) -> "pa.Table":
    """Read the Parquet files of a folder into one table.

    Raises:
        ArtifactError: there are none.
    """
    from curate.errors import ArtifactError
    from curate.files import storage
    from curate.pipelines.store import artifacts
    from curate.pipelines.store.pools import concat_pool

    paths = storage.list_files(folder, ".parquet")
    if not paths:
        raise ArtifactError(f"{folder}: there is no Parquet file; pairs with images are in shards")
    tables = [artifacts.read_table(path, columns) for path in paths]
    return concat_pool(tables)
