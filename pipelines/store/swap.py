"""An output made anew beside what is there, which it takes the place of once it is whole.

`<output>/.next/` is filled as if it were the output. When that is done and every checksum in it has
been compared, `.next/swap.json` says so, and from then on there is no way back: names that are
replaced go to `.next/.old/`, those of the new output take their places, and `.next` is removed. The
old sign that the output is whole goes first, the new one comes last, so that whoever begins to read
in between is told that it is not whole. Whoever drives the output next finishes what was cut short.

A failure before that leaves what was there; the same command, given again, goes on in `.next`.
Object stores cannot rename: there everything is copied by the store itself, and what was copied is
removed when all of it is in its place, so that a swap that was cut short begins once more.

`<output>/.adding/` is filled likewise with what is added to an output that is whole; there, files
of folders that grow are moved one by one, and what is in the output already stays.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.remedies import damaged
from curate.files.sealed_json import write_json
from curate.pipelines.store.shapes import read_json
from curate.pipelines.store.verify import verify_tree

__all__ = [
    "ADDING", "NEXT", "adding_folder", "finish_swap", "folder_to_fill", "forget_added",
    "forget_next", "next_folder", "refuse_half", "swap_in",
]  # fmt: skip

NEXT, ADDING = ".next", ".adding"
_SWAP, _OLD = "swap.json", ".old"


def next_folder(output: str) -> str:
    """Return the folder that an output is made anew in."""
    return storage.join(output, NEXT)


def adding_folder(output: str) -> str:
    """Return the folder that what is added to an output is made in."""
    return storage.join(output, ADDING)


@contextmanager
def folder_to_fill(
    output: str, *, overwrite: bool, marker: str, sign: str, gone: Collection[str] = ()
) -> Iterator[str]:
    """Give the folder to write an output into; what is made anew takes its place at the end.

    Args:
        output: folder.
        overwrite: whether what is there is to be replaced; else the output itself is given.
        marker: name of the file that says that something is there.
        sign: name of the file that says that it is whole.
        gone: names that go even if the new output has nothing of that name.
    """
    if not overwrite or not storage.exists(storage.join(output, marker)):
        yield output
        return
    yield next_folder(output)
    swap_in(output, sign=sign, gone=gone)


def swap_in(
    output: str, *, sign: str, gone: Collection[str] = (), added: Collection[str] = ()
) -> None:
    """Let what was made in `.next` take its place, as `folder_to_fill` does.

    Args:
        output: folder.
        sign: name of the file that says that it is whole.
        gone: names that go even if the new output has nothing of that name.
        added: names of folders that grow; if there are any, all is made in `.adding`.

    Raises:
        ArtifactError: a file of it is not what was written; what was there stays.
    """
    folder = adding_folder(output) if added else next_folder(output)
    storage.remove_leftovers(folder)
    if bad := [problem for _, problem in verify_tree(folder) if problem is not None]:
        raise ArtifactError(
            f"{output} stays as it was: what was to replace it is damaged already. {bad[0]}"
        )
    moves = [n for n in _names(folder) if not n.startswith(".") and n not in added]
    values = {"sign": sign, "moves": moves, "gone": sorted({*moves, *gone})}
    write_json(storage.join(folder, _SWAP), {**values, "added": sorted(added)})
    finish_swap(output)


def finish_swap(output: str) -> None:
    """Go on with a swap that was begun; nothing happens where none was."""
    for folder in (next_folder(output), adding_folder(output)):
        _finish(output, folder)


def _finish(output: str, folder: str) -> None:
    if not storage.exists(storage.join(folder, _SWAP)):
        return
    values = read_json(storage.join(folder, _SWAP))
    sign, moves, gone = str(values["sign"]), set(values["moves"]), set(values["gone"])
    added = set(values.get("added", ()))
    for name in (sign, *moves, *gone, *added):
        if name in ("", ".", "..") or "/" in name or "\0" in name:  # it came with a copy
            damaged(storage.join(folder, _SWAP), f"{name!r} leads out of the folder")
    there = set(_names(folder))
    for name in sorted(gone, key=lambda name: (name != sign, name)):
        if name in moves and name not in there:
            continue  # the new one is in its place
        _put_away(storage.join(output, name), storage.join(folder, _OLD, name))
    for name in sorted(added):
        for path in storage.list_files(storage.join(folder, name), ""):
            target = storage.join(output, name, path.rsplit("/", 1)[-1])
            storage.move_or_copy(path, target)  # in place of one of that name
    for name in sorted(moves & there, key=lambda name: name == sign):
        storage.move_or_copy(storage.join(folder, name), storage.join(output, name))
    storage.remove(storage.join(folder, _SWAP))  # from here on nothing is put away any more
    storage.remove(folder)


def _put_away(path: str, old: str) -> None:
    """Take a file or folder out of the way at once; removing a large one takes its time."""
    if not storage.exists(path):
        return
    if storage.is_local(path):
        storage.remove(old)
        storage.move_or_copy(path, old)
    else:
        storage.remove(path)


def _names(folder: str) -> list[str]:
    return [path.rsplit("/", 1)[-1] for path in storage.list_files(folder, "")]


def forget_next(output: str) -> None:
    """Remove what a run that was cut short had made in `.next`."""
    finish_swap(output)
    storage.remove(next_folder(output))


def forget_added(output: str) -> None:
    """Remove what was to be added to an output, and is not yet."""
    finish_swap(output)
    storage.remove(adding_folder(output))


def refuse_half(folder: str) -> None:
    """Refuse to read a folder whose content is being replaced.

    Raises:
        ArtifactError: it is.
    """
    places = (next_folder(folder), adding_folder(folder))
    if any(storage.exists(storage.join(place, _SWAP)) for place in places):
        raise ArtifactError(
            f"{folder}: its content is being replaced. Try again in a moment; if nothing works on "
            "it, run the command that wrote it again, which finishes that."
        )
