"""What a command returns: its summary by name, a table in words, and how Parquet files are read."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from curate.files.remedies import Called

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Result", "shown_svg", "stored"]


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
        from curate.api.calls.keywords import in_keywords
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


def shown_svg(drawing: bytes) -> str:
    """Return a drawing as an image of HTML, in which nothing can run or be loaded."""
    from base64 import b64encode

    data = b64encode(drawing).decode()
    return f'<img alt="" style="max-width: 100%" src="data:image/svg+xml;base64,{data}">'


def stored(folder: str, columns: list[str] | None = None) -> "pa.Table":
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
