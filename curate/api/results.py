"""What commands return: the summary as attributes and as items, a table in words, and Arrow.

`print(result)` shows what the command line shows; a notebook shows the data card, or the same
table.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from curate.files.remedies import Called

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BalanceResult",
    "BrowseResult",
    "CardResult",
    "DecontaminateResult",
    "DedupResult",
    "DiffResult",
    "DownloadResult",
    "EmbedResult",
    "EvalResult",
    "Explanation",
    "ExportResult",
    "ExtractResult",
    "MatchResult",
    "MetadataResult",
    "ModelsResult",
    "Result",
    "RetractResult",
    "ScoreResult",
    "Status",
    "TrainResult",
    "WarmUpResult",
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
        self.called = Called()
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
        from curate.api.keywords import in_keywords
        from curate.files.remedies import in_force_again, is_python

        with in_force_again(self.called):  # so that what it suggests can be pasted
            shown: str = view(self._values, **{name: options[name] for name in takes})
            return type(shown)(in_keywords(shown)) if is_python() else shown

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

    @property
    def matched_folder(self) -> str | None:
        """The folder of the matches that the set was sampled from."""
        return self._keep[0] if isinstance(self._keep, tuple) else None

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


class EmbedResult(Result):
    """What became of pairs: vectors, and reasons where there are none."""

    pairs: int
    columns: dict[str, Any]

    _view = ("embed", "embed_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return a row a pair: ids, fingerprints, vectors, or some of the columns."""
        return _stored(f"{self.folder}/pairs", columns)


class DecontaminateResult(Result):
    """Which pairs evaluation sets hold too."""

    _view = ("decontaminate", "decontaminate_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a pair that is in a set, with both sides."""
        return _stored(f"{self.folder}/hits")


class DedupResult(Result):
    """Which pairs fall, and for which ones."""

    _view = ("dedup", "dedup_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a pair that falls: its ids, why, how far, what for."""
        return _stored(f"{self.folder}/pairs")


class ScoreResult(Result):
    """Scores of pairs, and what falls below a threshold."""

    _view = ("score", "score_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return a row a pair: its id, language and scores."""
        return _stored(f"{self.folder}/pairs", columns)


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


class BrowseResult(Result):
    """A page that is served until `close`, or until the end of a `with` block."""

    address: str
    notes: list[str]

    _view = ("browse", "browse_lines")

    def __enter__(self) -> "BrowseResult":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self) -> None:
        """Serve until somebody interrupts."""
        server: Any = self._keep
        if server is not None:
            server.wait()

    def close(self) -> None:
        """End serving."""
        server: Any = self._keep
        if server is not None:
            server.close()
        self._keep = None


class DiffResult(Result):
    """What differs between two folders."""

    kind: str

    _view = ("diff", "diff_table")


class WarmUpResult(Result):
    """Whether compiled code came with the package, and how long was compiled here."""

    shipped: str
    why_not: str
    compiling_s: float

    _view = ("warm_up", "readiness")


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


class ModelsResult(Result):
    """Published models, by their names."""

    models: list[dict[str, Any]]

    _view = ("models", "models_table")


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
