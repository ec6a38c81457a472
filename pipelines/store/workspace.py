"""Where things are: the layout of a workspace, the same for every command."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from curate.errors import ArtifactError
from curate.files.paths import join

__all__ = ["CARD", "Workspace", "part_name", "refuse_foreign", "require_codes"]

CARD = "datacard.json"  # written last: its presence says that a balanced set is complete


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder, local or an fsspec URL, with the results of all stages.

    >>> Workspace("data").metadata
    'data/metadata'
    """

    root: str

    def folder(self, name: str) -> str:
        """Return the path of a folder of the workspace."""
        return join(self.root, name)

    @property
    def sources(self) -> str:
        """Downloaded inputs: dumps/, pageviews/, wordnet/."""
        return self.folder("sources")

    @property
    def metadata(self) -> str:
        """What `build-metadata` writes."""
        return self.folder("metadata")

    @property
    def pairs(self) -> str:
        """What `extract` writes."""
        return self.folder("pairs")

    @property
    def matched(self) -> str:
        """What `match` writes."""
        return self.folder("matched")

    @property
    def balanced(self) -> str:
        """What `balance` writes."""
        return self.folder("balanced")

    def captions(self, name: str) -> str:
        """Return the folder that `caption` writes the captions of a source to."""
        return join(self.root, "captions", name)

    def run(self, name: str) -> str:
        """Return the folder that `train` writes a run to."""
        return join(self.root, "runs", name)


def part_name(index: int, suffix: str) -> str:
    """Return the file name of a part.

    >>> part_name(7, "parquet")
    '00007.parquet'
    """
    return f"{index:05d}.{suffix}"


def require_codes(codes: Iterable[str], path: str) -> None:
    """Refuse codes of languages that could lead out of a folder: files are named by them.

    Args:
        codes: as a plan or a manifest lists them.
        path: of that, for the message.

    Raises:
        ArtifactError: one is no code.
    """
    for code in codes:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", code):
            raise ArtifactError(
                f"{path}: lists a language {code!r}; expected a code such as en or zh_yue. It is "
                "damaged or not ours: run the command that writes it again."
            )


def refuse_foreign(folder: str, marker: str, *others: str) -> None:
    """Refuse to write into a folder that holds files but is not an output of ours.

    Args:
        folder: where a command is about to write.
        marker: the file that tells that the folder is ours.
        others: files of ours that may be there without it.

    Raises:
        ArtifactError: it holds something else.
    """
    from curate.files import storage

    if storage.exists(join(folder, marker)):
        return
    names = [f.rsplit("/", 1)[-1] for f in storage.list_files(folder, "")]
    found = [name for name in names if name not in (".curate", ".next", *others)]
    if found:
        raise ArtifactError(
            f"{folder} exists and is not an output of this command (there is no {marker} in it, "
            f"but {found[0]}). Choose another --output."
        )
