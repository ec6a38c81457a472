"""The folder `metadata/` of a workspace: entries per language, and the manifest that names them."""

from dataclasses import dataclass, field

import pyarrow as pa

from metadata.entries import metadata_hash
from metadata.errors import ArtifactError, UsageError
from pipelines import artifacts, storage

__all__ = ["MetadataStore", "combined_hash"]

MANIFEST = "manifest.json"


def combined_hash(hashes: dict[str, str]) -> str:
    """Return one hash for the metadata of several languages."""
    return artifacts.digest(hashes)


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
            raise ArtifactError(
                f"{folder}: no metadata here (there is no {MANIFEST}). "
                "Run `curate build-metadata` first, or name its folder with --metadata."
            )
        manifest = storage.read_json(path)
        return cls(folder, {lang: e["sha256"] for lang, e in manifest["languages"].items()})

    def only(self, lang: str) -> "MetadataStore":
        """Return a store of one language.

        Raises:
            UsageError: there is no metadata for it.
        """
        if lang not in self.hashes:
            raise UsageError(
                f"there is no metadata for language {lang!r} in {self.folder}; "
                f"it has {', '.join(sorted(self.hashes)) or 'none'}. "
                f"Build it with: curate build-metadata --lang {lang}"
            )
        return MetadataStore(self.folder, {lang: self.hashes[lang]})

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
        found = metadata_hash(table.column("entry").to_pylist())
        if found != self.hashes[lang]:
            raise ArtifactError(
                f"{self.path(lang)}: its entries have sha256 {found[:12]}…, the manifest says "
                f"{self.hashes[lang][:12]}…. Run `curate build-metadata --lang {lang} --overwrite`."
            )
        return table

    def num_entries(self, lang: str) -> int:
        """Return how many entries a language has, from the footer of its file."""
        with artifacts.open_parquet(self.path(lang)) as file:
            return int(file.metadata.num_rows)

    def entries(self, lang: str) -> list[str]:
        """Read a language's entries in order."""
        entries: list[str] = self.table(lang).column("entry").to_pylist()
        return entries
