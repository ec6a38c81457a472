"""Files in, commits of a dataset repository out; what is there already is not sent again.

A commit takes some files at a time, so that a push that was cut short goes on behind the last one.
Whether a file is there is told by its hash, which the Hub keeps: sha256 of large files, git's of
others.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from curate.errors import ArtifactError, CurateError, MissingExtraError, UsageError
from curate.files import storage
from curate.files.addresses import hide_secrets
from curate.files.remedies import suggest
from curate.pipelines.push.plan import FOLDERS, HubFile
from curate.pipelines.views.progress import log, progress

__all__ = ["Pushed", "Repository"]

_FILES_AT_ONCE = 100
_BYTES_AT_ONCE = 4 << 30
_TRIES = 5
_FIRST_WAIT_S = 1.0  # doubled each time
_WITHOUT_XET = " Large files go by Xet; HF_HUB_DISABLE_XET=1 sends them by LFS, without it."

Value = TypeVar("Value")


@dataclass(slots=True)
class Pushed:
    """What became of the files of a push."""

    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    commits: int = 0
    removed: list[str] = field(default_factory=list)


class Repository:
    """A dataset repository of the Hub.

    Args:
        name: owner and name, such as me/my-set.
        token: that gives access; None for the one of the environment or of `hf auth login`.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        UsageError: the name is none.
    """

    def __init__(self, name: str, token: str | None = None) -> None:
        if find_spec("huggingface_hub") is None:
            raise MissingExtraError("curate push", "push")
        self._hub: Any = import_module("huggingface_hub")
        self._errors: Any = import_module("huggingface_hub.errors")
        utils: Any = import_module("huggingface_hub.utils")
        self.name = name
        try:
            utils.validate_repo_id(name)
        except ValueError as error:
            raise UsageError(f"{name!r} is no repository: {error}") from error
        if "/" not in name:
            raise UsageError(
                f"{name!r} is no repository; expected its owner too, such as me/{name}"
            )
        endpoint = os.environ.get("HF_ENDPOINT") or None
        self._token = token or self._hub.get_token()
        self._api = self._hub.HfApi(endpoint=endpoint, token=self._token)
        self.address = f"{self._api.endpoint}/datasets/{name}"

    def open(self, *, private: bool) -> bool:
        """Make the repository if it is not there; return whether it was made.

        Raises:
            CurateError: there is no token, or it is refused; or who can read the repository is not
                as it was asked for.
        """
        if self._token is None:
            raise CurateError(
                "there is no token of the Hub: set HF_TOKEN or run `hf auth login`, with one that "
                "may write"
            )
        about = self._about()
        if about is None:
            self._ask(lambda: self._api.create_repo(
                self.name, repo_type="dataset", private=private, exist_ok=True))  # fmt: skip
            return True
        if private and not about.private:
            raise CurateError(
                f"{self.address} can be read by everybody. Give --public if the set may be, or "
                "name another repository."
            )
        if not private and about.private:
            raise CurateError(
                f"{self.address} is private. Leave --public out, or make it public there, in its "
                "settings, first."
            )
        return False

    def _about(self) -> Any:
        """Return what the Hub says of the repository; None if it is not there."""
        try:
            return self._ask(lambda: self._api.repo_info(self.name, repo_type="dataset"))
        except _NotThereError:
            return None

    def names(self) -> dict[str, tuple[str, str | None]]:
        """Return the files that are there: git's hash of each, and the sha256 of a large one."""

        def found() -> dict[str, tuple[str, str | None]]:
            tree = self._api.list_repo_tree(self.name, repo_type="dataset", recursive=True)
            return {
                one.path: (one.blob_id, one.lfs.sha256 if one.lfs else None)
                for one in tree if hasattr(one, "blob_id")
            }  # fmt: skip

        return self._ask(found)

    def push(self, files: Sequence[HubFile], message: str, *, quiet: bool) -> Pushed:
        """Send the files that are not there, in their order; then remove others of our folders.

        Raises:
            ArtifactError: a file is not what was written, or is gone.
            CurateError: the Hub refuses it, or cannot be reached.
        """
        there = self.names()
        stale = _stale(there, files)
        done = Pushed(removed=stale)
        bars: Any = import_module("huggingface_hub.utils")
        bars.disable_progress_bars()  # ours counts files
        shown = progress(files, total=len(files), label="push", unit="file", quiet=quiet)
        with tempfile.TemporaryDirectory(prefix="curate-push-") as folder:
            waiting: list[Any] = []
            size = 0
            for at, (file, path) in enumerate(_written(shown, folder)):
                operation = self._hub.CommitOperationAdd(file.name, path)
                sha256 = operation.upload_info.sha256.hex()
                if file.sha256 is not None and sha256 != file.sha256:
                    raise ArtifactError(
                        f"{file.source}: not what was written. Run `{suggest('status')} --verify`, "
                        "which says what makes it anew."
                    )
                if self._is_there(there.get(file.name), path, sha256):
                    done.there += 1
                else:
                    waiting.append(operation)
                    size += operation.upload_info.size
                    done.sent += 1
                    done.sent_bytes += operation.upload_info.size
                is_last = at == len(files) - 1
                if is_last or len(waiting) >= _FILES_AT_ONCE or size >= _BYTES_AT_ONCE:
                    gone = [self._hub.CommitOperationDelete(n) for n in stale if is_last]
                    if waiting or gone:
                        self._commit([*waiting, *gone], message)
                        done.commits += 1
                    waiting, size = [], 0
                    for one in Path(folder).iterdir():
                        one.unlink()
        return done

    def stale(self, files: Sequence[HubFile]) -> list[str]:
        """Return what would be removed; nothing where there is no repository, or no token."""
        if self._token is None or self._about() is None:
            return []
        return _stale(self.names(), files)

    @staticmethod
    def _is_there(found: tuple[str, str | None] | None, path: str, sha256: str) -> bool:
        if found is None:
            return False
        blob_id, large = found
        if large is not None:
            return large == sha256
        if (size := os.path.getsize(path)) > 64 << 20:  # such a file is a large one there
            return False
        content = Path(path).read_bytes()
        return blob_id == sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest()

    def _commit(self, operations: list[Any], message: str) -> None:
        tries = 0

        def commit() -> None:
            nonlocal tries
            tries += 1
            wanted = operations
            if tries > 1:  # the last one may have come through, and only its answer not
                there = self.names()
                delete = self._hub.CommitOperationDelete
                wanted = [one for one in operations
                          if not isinstance(one, delete) or one.path_in_repo in there]  # fmt: skip
            if wanted:
                self._api.create_commit(
                    self.name, wanted, commit_message=message, repo_type="dataset"
                )

        self._ask(commit)

    def _ask(self, call: Callable[[], Value]) -> Value:
        """Ask the Hub, again where it may be better next time.

        Raises:
            CurateError: it refuses, or cannot be reached.
        """
        for tried in range(1, _TRIES + 1):
            try:
                return call()
            except self._errors.HfHubHTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                if status == 404 or isinstance(error, self._errors.RepositoryNotFoundError):
                    raise _NotThereError(f"{self.address}: the Hub knows of no such set") from error
                if status < 500 and status != 429:
                    raise CurateError(self._refusal(status, error)) from error
                problem: Exception = error
            except (OSError, self._errors.HTTPError) as error:
                problem = error
            except RuntimeError as error:  # of a large file's upload, by LFS or by Xet
                problem = error.__cause__ if isinstance(error.__cause__, Exception) else error
            if tried == _TRIES:
                break
            log(f"{self.address}: {_first_line(problem)}; trying again ({tried} of {_TRIES - 1})")
            time.sleep(_FIRST_WAIT_S * 2 ** (tried - 1))
        raise CurateError(
            f"{self.address}: {_first_line(problem)}. What was sent is there; give the same "
            f"command again, and it goes on.{_WITHOUT_XET if find_spec('hf_xet') else ''}"
        ) from problem

    def _refusal(self, status: int, error: Exception) -> str:
        if status in (401, 403):
            return (
                f"{self.address}: the Hub refuses the token ({status}). It has to be one that may "
                "write there: set HF_TOKEN or run `hf auth login`."
            )
        return f"{self.address}: the Hub refuses ({status}): {_first_line(error)}"


class _NotThereError(CurateError):
    """The Hub knows of no such repository."""


def _stale(there: Iterable[str], files: Sequence[HubFile]) -> list[str]:
    """Return the files in our folders that are no longer of the set."""
    names = {file.name for file in files}
    return sorted(name for name in there if name.startswith(FOLDERS) and name not in names)


def _first_line(error: Exception) -> str:
    first = next((line for line in str(error).splitlines() if line), type(error).__name__)
    return hide_secrets(first)  # where a large file goes is an address with a signature


def _written(files: Sequence[HubFile] | Any, folder: str) -> Iterator[tuple[HubFile, str]]:
    """Yield files with local paths; those that are made, or lie in a store, in the folder."""
    for at, file in enumerate(files):
        path = os.path.join(folder, f"{at:06d}")
        if file.check is not None:
            file.check()
        if file.made is not None:
            file.made(path)
        elif storage.is_local(file.source):
            path = storage.local_path(file.source)
            if not os.path.exists(path):
                raise ArtifactError(f"{path}: it is not there any more")
        else:
            with storage.open_read(file.source) as source, open(path, "wb") as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
        yield file, path
