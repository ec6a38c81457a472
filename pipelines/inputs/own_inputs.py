"""Whether the inputs that an output's plan lists are this user's choice, or came with a copy.

A plan lists where inputs are, and a later run goes on with them. In a workspace that somebody else
made they could be any file or server, so that the list is believed only if this user sealed it. The
seal lies beside the output, with its lease and logs, and is no part of it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.seal import is_sealed, seal
from curate.pipelines.executor.lease import beside
from curate.pipelines.views.progress import log

__all__ = ["are_own_inputs", "by_name", "refuse_unnamed", "seal_inputs"]

_FILE = "inputs.json"
_SHOWN = 5


def by_name(addresses: Sequence[str], *, quiet: bool) -> dict[str, str]:
    """Return inputs by the names that they are known by, which hold no secrets.

    Two addresses that differ only in a secret are one input.
    """
    found: dict[str, str] = {}
    for address in addresses:
        found.setdefault(without_secrets(address), address)
    if copies := len(set(addresses)) - len(found):
        log(f"{copies} addresses differ from others only in what gives access, and are the same "
            "inputs", quiet=quiet)  # fmt: skip
    return found


def seal_inputs(output: str, names: Collection[str], roots: Sequence[str] = ()) -> None:
    """Note that this user chose the inputs of an output; nothing is noted without a key."""
    found = seal(_sealed(names, roots))
    path = storage.join(beside(output), _FILE)
    if found is None:
        return
    try:
        storage.write_json(path, {"seal": found})
    except OSError as error:
        log(f"{path}: not noted, so that later commands ask for the inputs again ({error})")


def are_own_inputs(output: str, names: Collection[str], roots: Sequence[str] = ()) -> bool:
    """Tell whether this user chose the inputs that an output's plan lists, and the image roots."""
    path = storage.join(beside(output), _FILE)
    if not storage.exists(path):
        return False
    note = storage.read_json(path)
    return isinstance(note, dict) and is_sealed(_sealed(names, roots), note.get("seal"))


def _sealed(names: Collection[str], roots: Sequence[str]) -> Any:
    return ["inputs", sorted(set(names)), list(roots)]


def refuse_unnamed(output: str, todo: Collection[str], named: Collection[str]) -> None:
    """Refuse to read inputs that only a plan of somebody else names.

    Raises:
        ArtifactError: there is one.
    """
    others = sorted(set(todo) - set(named))
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise ArtifactError(
            f"{output}: its plan lists inputs that are still to be read, and that this user did "
            f"not choose: {', '.join(others[:_SHOWN])}{more}. Name them too if you trust them, or "
            "choose another --output."
        )
