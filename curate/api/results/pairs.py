"""What stages return that make, choose, change or show pairs."""

from typing import TYPE_CHECKING, Any

from curate.api.results.base import Result, shown_svg, stored

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BalanceResult",
    "BrowseResult",
    "CaptionResult",
    "CardResult",
    "ClusterResult",
    "DecontaminateResult",
    "DedupResult",
    "DiffResult",
    "DownloadResult",
    "EmbedResult",
    "Explanation",
    "ExtractResult",
    "JudgeResult",
    "MatchResult",
    "MetadataResult",
    "PushResult",
    "RetractResult",
    "SampleResult",
    "ScoreResult",
    "Status",
    "YieldResult",
]


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
        return stored(self.folder or "")


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
        return stored(f"{self.folder}/pairs")


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
        return stored(f"{self.folder}/pairs", columns)


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
        return stored(f"{self.folder}/pairs", columns)


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

    def _repr_html_(self) -> str:
        """Show the curve above the table, where there are several t and matplotlib."""
        from curate.pipelines.views.plots import can_draw, drawn

        table = super()._repr_html_()
        if len(self._values.get("yields", ())) < 2 or not can_draw():
            return table
        from curate.pipelines.yields import yield_plot

        return shown_svg(drawn(yield_plot(self.yields, self.matched), "svg")) + table


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
        return stored(f"{self.folder}/pairs", columns)


class DecontaminateResult(Result):
    """Which pairs evaluation sets hold too."""

    _view = ("decontaminate", "decontaminate_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a pair that is in a set, with both sides."""
        return stored(f"{self.folder}/hits")


class DedupResult(Result):
    """Which pairs fall, and for which ones."""

    _view = ("dedup", "dedup_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a pair that falls: its ids, why, how far, what for."""
        return stored(f"{self.folder}/pairs")


class SampleResult(Result):
    """What was sampled, level by level of the clusters."""

    _view = ("sample", "sample_table")

    def to_arrow(self) -> "pa.Table":
        """Return a row a pair: its ids, its leaf, and the cosine of its vector and the centre."""
        return stored(f"{self.folder}/pairs")


class ScoreResult(Result):
    """Scores of pairs, and what falls below a threshold."""

    _view = ("score", "score_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return a row a pair: its id, language and scores."""
        return stored(f"{self.folder}/pairs", columns)


class ClusterResult(Result):
    """Clusters of captions: their sizes, and what is in them."""

    pairs: int
    clusters: list[dict[str, Any]]

    _view = ("cluster", "cluster_table")

    def to_arrow(self, columns: list[str] | None = None) -> "pa.Table":
        """Return a row a pair: its id, language, entries, cluster, fine centre and distance."""
        return stored(f"{self.folder}/pairs", columns)


class PushResult(Result):
    """What went to the Hub, or would go."""

    address: str
    private: bool
    files: int

    _view = ("push", "push_table")


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


class Status(Result):
    """The state of a workspace."""

    workspace: str
    stages: dict[str, Any]

    _view = ("status", "status_table")
