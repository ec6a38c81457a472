"""The folder `metadata/` of a workspace: entries per language, and the manifest that names them."""

import shlex
from contextlib import ExitStack
from dataclasses import dataclass, field

import pyarrow as pa

from curate.curation.matching.normalize import Normalization
from curate.curation.matching.reference import AhoCorasickMatcher, Matcher
from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.own_json import of_ours
from curate.files.remedies import suggest
from curate.metadata.entries import metadata_hash
from curate.pipelines.store import artifacts
from curate.pipelines.store.build_ways import ways_to_build
from curate.pipelines.store.workspace import require_codes

__all__ = ["ENGINES", "MetadataStore", "combined_hash", "index_path", "write_indices"]

MANIFEST = "manifest.json"
KINDS = ("wordnet", "unigram", "bigram", "title")  # of sources
OWN_ENTRIES = "own_entries"  # in what a language was made from: its list
OWN_FILES = "own_files"  # in its report: what was not fetched, and cannot be told otherwise
ENGINES = ("index", "pyahocorasick")


def combined_hash(hashes: dict[str, str]) -> str:
    """Return one hash for the metadata of several languages."""
    return artifacts.digest(hashes)


def index_path(folder: str, lang: str, normalization: Normalization) -> str:
    """Return the path of a language's index.

    >>> index_path("metadata", "en", "standard"), index_path("metadata", "en", "metaclip")
    ('metadata/en.index', 'metadata/en.metaclip.index')
    """
    middle = "" if normalization == "standard" else f".{normalization}"
    return storage.join(folder, f"{lang}{middle}.index")


def write_indices(folder: str, lang: str, entries: pa.ChunkedArray, sha256: str) -> None:
    """Write the indices of a language, one for each normalization."""
    from curate.curation.matching.index import build_index, pack_index

    both: tuple[Normalization, ...] = ("standard", "metaclip")
    with ExitStack() as stack:  # both appear when both are whole
        for normalization in both:
            packed = pack_index(build_index(entries.combine_chunks(), normalization), sha256)
            path = index_path(folder, lang, normalization)
            stack.enter_context(storage.publish(path)).write(packed)


@dataclass(frozen=True, slots=True)
class MetadataStore:
    """The metadata of all languages of a folder; entries are read when they are asked for.

    Attributes:
        folder: local path or URL.
        hashes: sha256 of the entries of each language, from the manifest.
    """

    folder: str
    hashes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str) -> "MetadataStore":
        """Read the manifest.

        Raises:
            ArtifactError: there is none.
        """
        path = storage.join(folder, MANIFEST)
        if not storage.exists(path):
            below = storage.join(folder, "metadata")
            is_workspace = storage.exists(storage.join(below, MANIFEST))
            first = suggest("build-metadata", "--lang", "en")
            remedy = (
                f"It is a workspace: its metadata are --metadata {shlex.quote(below)}."
                if is_workspace
                else f"Run `{first}` first, or name its folder with --metadata."
            )
            raise ArtifactError(f"{folder}: no metadata here (there is no {MANIFEST}). {remedy}")
        manifest = artifacts.read_json(path)
        with of_ours(path):
            require_codes(manifest["languages"], path)
            hashes = {lang: str(e["sha256"]) for lang, e in manifest["languages"].items()}
        return cls(folder, hashes)

    def only(self, lang: str) -> "MetadataStore":
        """Return a store of one language.

        Raises:
            UsageError: there is no metadata for it.
        """
        if lang not in self.hashes:
            ways = "; ".join(self.ways_to_build(lang)) or "expected a code of a Wikipedia"
            raise UsageError(
                f"there is no metadata for language {lang!r} in {self.folder}; "
                f"it has {', '.join(sorted(self.hashes)) or 'none'}. "
                f"{ways[:1].upper()}{ways[1:]}"
            )
        return MetadataStore(self.folder, {lang: self.hashes[lang]})

    def ways_to_build(self, *langs: str) -> list[str]:
        """Say how to add languages to those that are here, as those were built."""
        values = artifacts.read_json(storage.join(self.folder, MANIFEST))["languages"].values()
        kinds = {tuple(one.get("made_from", {}).get("kinds", ())) for one in values}
        widest = max(kinds, key=len, default=())
        return ways_to_build(self.folder, widest if len(widest) < len(KINDS) else (), langs)

    def path(self, lang: str) -> str:
        """Return the path of a language's Parquet file."""
        return storage.join(self.folder, f"{lang}.parquet")

    def table(self, lang: str) -> pa.Table:
        """Read a language's entries, checked against the manifest's hash.

        Returns:
            Columns entry, source, score; the row number is the entry_id.

        Raises:
            ArtifactError: the file is not the one the manifest names.
        """
        table = artifacts.read_table(self.path(lang))
        self._check(lang, metadata_hash(table.column("entry")))
        return table

    def _check(self, lang: str, found: str) -> None:
        if found != self.hashes[lang]:
            raise ArtifactError(
                f"{self.path(lang)}: its entries have sha256 {found[:12]}…, the manifest says "
                f"{self.hashes[lang][:12]}…. Run "
                f"`{suggest('build-metadata', '--lang', lang, '--overwrite')}`."
            )

    def num_entries(self, lang: str) -> int:
        """Return how many entries a language has, from the footer of its file.

        Raises:
            ArtifactError: the file is not the one the manifest names.
        """
        self._check(lang, artifacts.read_stamp(self.path(lang))["sha256"])
        with artifacts.open_parquet(self.path(lang)) as file:
            return int(file.metadata.num_rows)

    def entries(self, lang: str) -> list[str]:
        """Read a language's entries in order."""
        entries: list[str] = self.table(lang).column("entry").to_pylist()
        return entries

    def matcher(
        self, lang: str, normalization: Normalization, engine: str, threads: int = 1
    ) -> Matcher:
        """Open the matcher of a language.

        Args:
            lang: one that there is metadata for.
            normalization: of entries and texts.
            engine: ``index``, the memory-mapped index; ``pyahocorasick``, the reference.
            threads: that the index matches in.

        Raises:
            ArtifactError: the index is missing, damaged, or of other entries.
        """
        if engine == "pyahocorasick":
            return AhoCorasickMatcher(self.entries(lang), normalization)
        from curate.curation.matching.index import unpack_index

        path = index_path(self.folder, lang, normalization)
        if not storage.exists(path):
            raise ArtifactError(
                f"{path}: there is no such index. Build it from the entries with: "
                f"{suggest('build-metadata', '--reindex')}"
            )
        return unpack_index(storage.map_file(path), path, self.hashes[lang], threads=threads)
