"""Records in, with captions instead of their alt-texts out: for `match --captions`."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from curate.pipelines.caption_tables.join import CaptionOptions, caption_identity, joined_captions
from curate.pipelines.inputs.ids import pair_ids
from curate.pipelines.inputs.records import Records
from curate.training.captions.bulk import first_captions
from curate.training.captions.lookup import CaptionIndex
from curate.training.captions.mix import ALT

__all__ = ["TEXT_SOURCE", "TEXT_SOURCE_TYPE", "CaptionsInstead"]

# The column of matched pairs that says which text their entries are those of.
TEXT_SOURCE = "text_source"
TEXT_SOURCE_TYPE = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class CaptionsInstead:
    """Puts captions in the place of alt-texts; each process sorts or opens them when first asked.

    Attributes:
        tables: as `--captions` names them.
        digest: of what is in them.
        quiet: no messages.
    """

    tables: tuple[str, ...]
    digest: str = field(kw_only=True)
    quiet: bool = field(kw_only=True, default=True)

    @classmethod
    def of(cls, tables: tuple[str, ...], *, quiet: bool) -> "CaptionsInstead | None":
        """Look at tables; None without any.

        Raises:
            InputError: one is missing, or has no captions by pair id.
        """
        identity = caption_identity(CaptionOptions(tables=tables))
        return cls(tables, digest=identity["tables"], quiet=quiet) if identity else None

    def __getstate__(self) -> dict[str, object]:
        """Leave the open files out, for another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_index"}

    @cached_property
    def _index(self) -> CaptionIndex:
        found = joined_captions(CaptionOptions(tables=self.tables), self.digest, quiet=self.quiet)
        assert found is not None
        return found

    def texts_of(self, records: Records) -> Records:
        """Return records with the ids of their pairs, and the text that stands for each.

        Of several captions of a pair, the first by its source's name and then by its text; its
        language is what its table says, else to be identified. A pair without a caption keeps its
        alt-text and that one's language. The column `TEXT_SOURCE` is put into the batch.

        Raises:
            InputError: the captions cannot be used.
        """
        ids = pair_ids(records)  # of the alt-text: they stay what they are
        found = first_captions(self._index, ids)
        is_alt = pc.is_null(found.texts)
        langs = records.langs if records.langs is not None else pa.nulls(len(ids), pa.string())
        source = pc.fill_null(found.sources, ALT).dictionary_encode().cast(TEXT_SOURCE_TYPE)
        names = [name for name in records.batch.schema.names if name != TEXT_SOURCE]
        batch = records.batch.select(names).append_column(TEXT_SOURCE, source)
        return replace(
            records, batch=batch, uids=ids, texts=pc.coalesce(found.texts, records.texts),
            langs=pc.if_else(is_alt, langs.cast(pa.string()), found.langs),
        )  # fmt: skip
