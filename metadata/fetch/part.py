"""What has come of a file whose download was cut off: ``<file>.part``."""

from pathlib import Path

import requests

from curate.errors import InputError
from curate.files.addresses import without_secrets
from curate.metadata.fetch.notes import RemoteFile, publish_json, read_note

__all__ = ["Part"]

PART_SUFFIX = ".part"


class Part:
    """What has come of a file, and what tells whether its other bytes belong to it."""

    def __init__(self, file: RemoteFile, folder: Path) -> None:
        self.file = file
        self.path = folder / (file.name + PART_SUFFIX)
        self._note = folder / (file.name + PART_SUFFIX + ".json")
        if self.path.exists() and not file.is_summed and self._validator() is None:
            self.forget()  # it may be of another version, and nothing would tell

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest; for the whole if the file has changed."""
        if not self.size:
            return {}
        validator = self._validator()
        condition = {"If-Range": validator} if validator else {}
        return {"Range": f"bytes={self.size}-", **condition}

    def remember(self, response: requests.Response) -> None:
        """Note which version of the file the bytes will be of."""
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")
        publish_json(self._note, {"url": self.file.url, "validator": validator})

    def _validator(self) -> str | None:
        if not self._note.is_file():
            return None
        url = without_secrets(self.file.url)
        try:
            # Another mirror has its own; the listed sum then tells in the end.
            return read_note(
                self._note,
                lambda note: str(note["validator"] or "") if note["url"] == url else None,
                "the note of a download that goes on", "",
            )  # fmt: skip
        except InputError:  # of no use: the file is asked for as if there were none
            return None

    def forget(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
